//! What a case found.

use std::fmt;

/// The value of a case beside its floor.
#[derive(Debug)]
pub(crate) struct Line {
    case: &'static str,
    value: f64,
    unit: &'static str,
    floor: f64,
}

impl Line {
    pub(crate) fn new(value: f64, unit: &'static str, floor: f64) -> Self {
        Self { case: "", value, unit, floor }
    }

    pub(crate) fn named(self, case: &'static str) -> Self {
        Self { case, ..self }
    }
}

/// One JSON object.
impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { case, value, unit, floor } = self;
        let ratio = value / floor;
        write!(
            f,
            r#"{{"case":"{case}","value":{value:.2},"unit":"{unit}","floor":{floor:.2},"ratio":{ratio:.3}}}"#
        )
    }
}
