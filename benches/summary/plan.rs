//! What to run, and how much of it, by the command line.

/// How much work a case does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Amount {
    Full,
    /// A tenth.
    Quick,
    /// Just so much that every line of it runs once.
    Least,
}

impl Amount {
    /// This amount of `full`, at least 1.
    pub(crate) fn of(self, full: u32) -> u32 {
        match self {
            Self::Full => full,
            Self::Quick => full.div_ceil(10),
            Self::Least => full.div_ceil(1000),
        }
    }
}

/// The cases to run.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) amount: Amount,
    names: Vec<String>,
}

impl Plan {
    /// Names or parts of names, `--quick`, and what Cargo adds: `cargo bench` says `--bench`, and a run without it,
    /// as of `cargo test --benches`, is a test.
    pub(crate) fn from_arguments(arguments: impl Iterator<Item = String>) -> Self {
        let (flags, names): (Vec<_>, Vec<_>) = arguments.partition(|argument| argument.starts_with("--"));
        let said = |flag: &str| flags.iter().any(|said| said == flag);
        let amount = match (said("--test"), said("--quick"), said("--bench")) {
            (true, ..) | (false, false, false) => Amount::Least,
            (false, true, _) => Amount::Quick,
            (false, false, true) => Amount::Full,
        };
        Self { amount, names }
    }

    pub(crate) fn wants(&self, case: &str) -> bool {
        self.names.is_empty() || self.names.iter().any(|name| case.contains(name.as_str()))
    }
}
