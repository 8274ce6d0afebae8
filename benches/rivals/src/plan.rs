//! What to run, and how much of it, by the command line.

use crate::cases::{CASES, Case};

/// How much work a measurement does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Amount {
    Full,
    /// A tenth.
    Quick,
}

impl Amount {
    /// This amount of `full`, at least 1.
    pub(crate) fn of(self, full: u32) -> u32 {
        full.div_ceil(self.part())
    }

    /// What `full` is divided by.
    pub(crate) fn part(self) -> u32 {
        match self {
            Self::Full => 1,
            Self::Quick => 10,
        }
    }

    pub(crate) fn from_part(part: &str) -> Option<Self> {
        [Self::Full, Self::Quick].into_iter().find(|amount| amount.part().to_string() == part)
    }

    /// How often each rival is measured.
    pub(crate) fn rounds(self) -> u32 {
        match self {
            Self::Full => 5,
            Self::Quick => 3,
        }
    }
}

/// The cases to run.
pub(crate) struct Plan {
    pub(crate) amount: Amount,
    pub(crate) cases: Vec<&'static Case>,
}

impl Plan {
    /// Names of cases or parts of them, and `--quick`.
    pub(crate) fn from_arguments(arguments: Vec<String>) -> Result<Self, String> {
        let (flags, words): (Vec<_>, Vec<_>) = arguments.into_iter().partition(|word| word.starts_with("--"));
        if let Some(flag) = flags.iter().find(|flag| *flag != "--quick") {
            return Err(format!("{flag} is not known; there is --quick"));
        }
        let wanted = |case: &Case| words.is_empty() || words.iter().any(|word| case.name.contains(word));
        let cases: Vec<_> = CASES.iter().copied().filter(|case| wanted(case)).collect();
        if cases.is_empty() {
            let names: Vec<_> = CASES.iter().map(|case| case.name).collect();
            return Err(format!("no case is called so; there are {}", names.join(", ")));
        }
        let amount = if flags.is_empty() { Amount::Full } else { Amount::Quick };
        Ok(Self { amount, cases })
    }
}
