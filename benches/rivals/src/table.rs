//! What was found, as one table in Markdown.

use crate::cases::Case;
use crate::isolated::Failure;

/// A line for each rival, with the ratio of its value to ours, which stands first.
pub(crate) fn print(cases: &[&Case], found: &[Vec<Result<f64, Failure>>]) {
    println!("| case | who | how | value | rival / ours |");
    println!("| --- | --- | --- | ---: | ---: |");
    for (case, values) in cases.iter().zip(found) {
        let ours = values.first().and_then(|value| value.as_ref().ok());
        for (place, (rival, value)) in case.rivals.iter().zip(values).enumerate() {
            let title = if place == 0 { format!("`{}`: {}", case.name, case.what) } else { String::new() };
            let (value, ratio) = cells(value, ours, case.unit);
            println!("| {title} | {} | {} | {value} | {ratio} |", rival.who, rival.how);
        }
    }
}

fn cells(value: &Result<f64, Failure>, ours: Option<&f64>, unit: &str) -> (String, String) {
    match value {
        // The bar would end the cell.
        Err(failure) => (failure.to_string().replace('|', "/"), "-".to_owned()),
        Ok(value) => {
            let ratio = ours.map_or_else(|| "-".to_owned(), |ours| figure(value / ours));
            (format!("{} {unit}", figure(*value)), ratio)
        }
    }
}

/// Three digits that count, and no more than a reader can use.
pub(crate) fn figure(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 1.0 => format!("{value:.2}"),
        size if size >= 0.01 => format!("{value:.3}"),
        _ => format!("{value:.1e}"),
    }
}
