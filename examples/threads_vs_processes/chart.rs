//! The chart: a column for each kind of work, its speed-up above and its memory below, as SVG and as PNG.

use std::error::Error;
use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::register_font;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::panel::{AXIS, IDEAL, Measure, Panel, SERIAL, color_of};
use crate::runner::Runner;
use crate::survey::Survey;

pub(crate) type Drawn = Result<(), Box<dyn Error>>;

/// Where it can be drawn: into a text or into pixels.
pub(crate) trait Canvas: DrawingBackend<ErrorType: 'static> {}
impl<B: DrawingBackend<ErrorType: 'static>> Canvas for B {}

pub(crate) const FONT: &str = "sans-serif";
/// In pixels, like all that follows.
const SIZE: (u32, u32) = (1_600, 1_000);
const TITLE: u32 = 90;
const LEGEND: u32 = 50;

/// Draws it twice, and says where it is.
pub(crate) fn write(survey: &Survey, folder: &Path) -> Result<[PathBuf; 2], Box<dyn Error>> {
    // They are brought along: only a library of the system would know which fonts a machine has, and where.
    for (style, font) in
        [(FontStyle::Normal, dejavu::sans::regular()), (FontStyle::Bold, dejavu::sans::bold())]
    {
        register_font(FONT, style, font).map_err(|_| "the font cannot be read")?;
    }
    let [svg, png] = ["svg", "png"].map(|kind| folder.join(format!("threads_vs_processes.{kind}")));
    draw(&SVGBackend::new(&svg, SIZE).into_drawing_area(), survey)?;
    let mut pixels = vec![0; SIZE.0 as usize * SIZE.1 as usize * 3];
    draw(&BitMapBackend::with_buffer(&mut pixels, SIZE).into_drawing_area(), survey)?;
    save(&pixels, &png)?;
    Ok([svg, png])
}

fn save(pixels: &[u8], path: &Path) -> Drawn {
    let mut encoder = png::Encoder::new(BufWriter::new(File::create(path)?), SIZE.0, SIZE.1);
    encoder.set_color(png::ColorType::Rgb);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(pixels)?;
    Ok(writer.finish()?)
}

fn draw<B: Canvas>(area: &DrawingArea<B, Shift>, survey: &Survey) -> Drawn {
    area.fill(&WHITE)?;
    let (title, rest) = area.split_vertically(TITLE);
    let (legend, body) = rest.split_vertically(LEGEND);
    draw_title(&title, survey)?;
    draw_legend(&legend)?;
    let rows = body.margin(0, 10, 20, 20).split_evenly((2, 1));
    for (measure, row) in [Measure::SpeedUp, Measure::Memory].into_iter().zip(rows) {
        draw_row(&row, survey, measure)?;
    }
    Ok(area.present()?)
}

/// Columns of the same width; the first has the axis of all of them beside it.
fn draw_row<B: Canvas>(area: &DrawingArea<B, Shift>, survey: &Survey, measure: Measure) -> Drawn {
    let (axis, width) = (i32::try_from(AXIS)?, i32::try_from(area.dim_in_pixel().0)?);
    let columns = i32::try_from(survey.blocks.len())?;
    let column = (width - axis) / columns;
    let breaks: Vec<_> = (1..columns).map(|place| axis + place * column).collect();
    let places = area.split_by_breakpoints(breaks, [0; 0]);
    for (block, place) in survey.blocks.iter().zip(places) {
        Panel { survey, block, measure }.draw(&place)?;
    }
    Ok(())
}

fn draw_title<B: Canvas>(area: &DrawingArea<B, Shift>, survey: &Survey) -> Drawn {
    let middle = i32::try_from(SIZE.0 / 2)?;
    let centered = Pos::new(HPos::Center, VPos::Center);
    let title = (FONT, 34, FontStyle::Bold).into_text_style(area).pos(centered);
    area.draw_text("Processes or threads?", &title, (middle, 36))?;
    let below = (FONT, 18).into_text_style(area).pos(centered);
    let text =
        format!("How much faster than one after the other, and with how much memory: {}", survey.setting());
    area.draw_text(&text, &below, (middle, 70))?;
    Ok(())
}

/// What colours and lines mean, in one row.
fn draw_legend<B: Canvas>(area: &DrawingArea<B, Shift>) -> Drawn {
    const SIGN: i32 = 26;
    const GAP: i32 = 34;
    const MIDDLE: i32 = 20;
    let text = (FONT, 18).into_text_style(area).pos(Pos::new(HPos::Left, VPos::Center));
    let bars = Runner::PARALLEL.map(|runner| (runner.to_string(), color_of(runner), 20));
    let lines = [("best possible", IDEAL), ("serial", SERIAL)]
        .map(|(name, line)| (name.to_owned(), line.color, i32::try_from(line.stroke_width).unwrap_or(1)));
    let entries: Vec<_> = bars.into_iter().chain(lines).collect();
    let width = |name: &str| text.font.box_size(name).map(|size| SIGN + 10 + size.0.cast_signed() + GAP);
    let widths = entries.iter().map(|(name, ..)| width(name)).collect::<Result<Vec<_>, _>>()?;
    let free = i32::try_from(SIZE.0)? - (widths.iter().sum::<i32>() - GAP);
    let mut left = free / 2;
    for ((name, color, height), width) in entries.iter().zip(widths) {
        let top = MIDDLE - height / 2;
        area.draw(&Rectangle::new([(left, top), (left + SIGN, top + height)], color.filled()))?;
        area.draw_text(name, &text, (left + SIGN + 10, MIDDLE + 2))?;
        left += width;
    }
    Ok(())
}
