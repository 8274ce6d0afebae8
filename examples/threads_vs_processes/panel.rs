//! One panel of the chart: bars for one kind of work, in groups by the number of workers.

use std::error::Error;

use multiprocess::StartMethod;
use plotters::coord::Shift;
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::chart::{Canvas, Drawn, FONT};
use crate::runner::Runner;
use crate::survey::{Block, Row, Survey};
use crate::trial::WORKERS;

type Plot<'a, B> = ChartContext<'a, B, Cartesian2d<RangedCoordf64, RangedCoordf64>>;

/// The part of a group's place that its bars take.
const FILLED: f64 = 0.88;
/// What the first panel of a row takes for the axis of the whole row, in pixels.
pub(crate) const AXIS: u32 = 80;

/// What can be had at best, and what the serial run has.
pub(crate) const IDEAL: ShapeStyle = ShapeStyle { color: BLACK_RGBA, filled: false, stroke_width: 4 };
pub(crate) const SERIAL: ShapeStyle = ShapeStyle { color: GRAY, filled: false, stroke_width: 2 };
const BLACK_RGBA: RGBAColor = RGBAColor(0, 0, 0, 1.0);
const GRAY: RGBAColor = RGBAColor(120, 120, 120, 1.0);

/// Colours that are told apart also by those who see some of them alike; processes are of one family.
pub(crate) fn color_of(runner: Runner) -> RGBAColor {
    let (red, green, blue) = match runner {
        Runner::Serial => return GRAY,
        Runner::Blocking => (240, 200, 70),
        Runner::Threads => (220, 110, 30),
        Runner::Processes(StartMethod::Spawn) => (20, 90, 160),
        Runner::Processes(_) => (110, 185, 235),
    };
    RGBAColor(red, green, blue, 1.0)
}

/// What can be read on its colour.
fn ink_on(runner: Runner) -> RGBColor {
    if runner == Runner::Processes(StartMethod::Spawn) { WHITE } else { BLACK }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Measure {
    SpeedUp,
    Memory,
}

impl Measure {
    fn of(self, row: &Row) -> f64 {
        match self {
            Self::SpeedUp => row.speed_up,
            Self::Memory => row.outcome.mebibytes(),
        }
    }

    fn axis(self) -> &'static str {
        match self {
            Self::SpeedUp => "speed-up (times the serial run)",
            Self::Memory => "memory of program and workers (MiB)",
        }
    }
}

pub(crate) struct Panel<'a> {
    pub(crate) survey: &'a Survey,
    pub(crate) block: &'a Block,
    pub(crate) measure: Measure,
}

impl Panel<'_> {
    pub(crate) fn draw<B: Canvas>(&self, area: &DrawingArea<B, Shift>) -> Drawn {
        let area = self.draw_title(area)?;
        let last = f64::from(u32::try_from(WORKERS.len())?) - 0.5;
        let mut plot = ChartBuilder::on(&area)
            .x_label_area_size(44)
            .y_label_area_size(self.axis())
            .margin_right(10)
            .build_cartesian_2d(-0.5..last, 0.0..self.end())?;
        self.draw_axes(&mut plot)?;
        draw_line(&plot, [-0.5, last], self.measure.of(&self.block.rows[0]), SERIAL)?;
        for row in &self.block.rows {
            self.draw_bar(&plot, row)?;
        }
        self.draw_ideals(&plot)
    }

    fn is_first(&self) -> bool {
        self.block.kind == self.survey.blocks[0].kind
    }

    /// The room of the axis on the left.
    fn axis(&self) -> u32 {
        if self.is_first() { AXIS } else { 0 }
    }

    /// Returns the place below it.
    fn draw_title<B: Canvas>(
        &self,
        area: &DrawingArea<B, Shift>,
    ) -> Result<DrawingArea<B, Shift>, Box<dyn Error>> {
        let (title, rest) = area.split_vertically(if self.measure == Measure::SpeedUp { 60 } else { 20 });
        if self.measure == Measure::SpeedUp {
            let middle = (i32::try_from(area.dim_in_pixel().0)? + i32::try_from(self.axis())? - 10) / 2;
            let centered = Pos::new(HPos::Center, VPos::Center);
            let name = (FONT, 22, FontStyle::Bold).into_text_style(area).pos(centered);
            title.draw_text(self.block.kind.name(), &name, (middle, 14))?;
            let story = (FONT, 16).into_text_style(area).pos(centered);
            title.draw_text(self.block.kind.story(), &story, (middle, 40))?;
        }
        Ok(rest)
    }

    /// Where the axis ends. It is the same for all panels of a row, so that they can be compared.
    fn end(&self) -> f64 {
        let rows = self.survey.blocks.iter().flat_map(|block| &block.rows);
        let values = rows.map(|row| self.measure.of(row));
        let ideals =
            self.survey.blocks.iter().flat_map(|block| WORKERS.map(|workers| self.ideal(block, workers)));
        values.chain(ideals.flatten()).fold(0.0, f64::max) * 1.1
    }

    fn ideal(&self, block: &Block, workers: u32) -> Option<f64> {
        let best = block.kind.ideal(workers, self.survey.cores);
        (self.measure == Measure::SpeedUp).then_some(f64::from(best))
    }

    fn draw_axes<B: Canvas>(&self, plot: &mut Plot<'_, B>) -> Drawn {
        let axis = if self.is_first() { self.measure.axis() } else { "" };
        // The axis offers its marks; those at the middle of a group get its name.
        let name = |mark: &f64| {
            let groups = (0_u32..).map(f64::from).zip(WORKERS);
            let here = groups.filter(|(middle, _)| (middle - mark).abs() < 0.1);
            here.map(|(_, workers)| workers.to_string()).collect()
        };
        plot.configure_mesh()
            .disable_x_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(BLACK.mix(0.12))
            .x_labels(WORKERS.len() + 1)
            .y_labels(6)
            .x_label_formatter(&name)
            .y_label_formatter(&f64::to_string)
            .label_style((FONT, 16))
            .axis_desc_style((FONT, 16))
            .x_desc("workers")
            .y_desc(axis)
            .draw()?;
        Ok(())
    }

    /// A bar with its value. The serial run has none.
    fn draw_bar<B: Canvas>(&self, plot: &Plot<'_, B>, row: &Row) -> Drawn {
        let number = |place: Option<usize>| place.and_then(|place| u32::try_from(place).ok()).map(f64::from);
        let group = number(WORKERS.iter().position(|workers| *workers == row.trial.workers));
        let runner = number(Runner::PARALLEL.iter().position(|runner| *runner == row.trial.runner));
        let (Some(group), Some(runner)) = (group, runner) else { return Ok(()) };
        let width = FILLED / f64::from(u32::try_from(Runner::PARALLEL.len())?);
        let (left, value) = (group - FILLED / 2.0 + runner * width, self.measure.of(row));
        let corners = [(left + 0.01, 0.0), (left + width - 0.01, value)];
        plot.plotting_area().draw(&Rectangle::new(corners, color_of(row.trial.runner).filled()))?;
        self.draw_value(plot, left + width / 2.0, row)
    }

    /// Speed-ups stand in their bars, below the line of what is possible; memory above, since many a bar is too low.
    fn draw_value<B: Canvas>(&self, plot: &Plot<'_, B>, middle: f64, row: &Row) -> Drawn {
        let value = self.measure.of(row);
        let (height, shift, side, color) = match self.ideal(self.block, row.trial.workers) {
            Some(ideal) => (value.min(ideal), 7, VPos::Top, ink_on(row.trial.runner)),
            None => (value, -5, VPos::Bottom, BLACK),
        };
        let style =
            (FONT, 13).into_text_style(plot.plotting_area()).color(&color).pos(Pos::new(HPos::Center, side));
        let label = if value < 9.95 { format!("{value:.1}") } else { format!("{value:.0}") };
        let shifted = EmptyElement::at((middle, height)) + Text::new(label, (0, shift), style);
        plot.plotting_area().draw(&shifted)?;
        Ok(())
    }

    fn draw_ideals<B: Canvas>(&self, plot: &Plot<'_, B>) -> Drawn {
        for (group, workers) in (0_u32..).zip(WORKERS) {
            if let Some(height) = self.ideal(self.block, workers) {
                let middle = f64::from(group);
                draw_line(plot, [middle - 0.46, middle + 0.46], height, IDEAL)?;
            }
        }
        Ok(())
    }
}

fn draw_line<B: Canvas>(plot: &Plot<'_, B>, ends: [f64; 2], height: f64, style: ShapeStyle) -> Drawn {
    plot.plotting_area().draw(&PathElement::new(ends.map(|end| (end, height)), style))?;
    Ok(())
}
