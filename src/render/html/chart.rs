//! Charts as inline SVG.
//!
//! In: whole numbers with their labels. Out: an `svg` element with a text alternative, drawn by plotters. Its colours are
//! stand-ins that `style.css` replaces, so that one drawing serves light and dark. Never a figure that is not in the input:
//! numbers are only shrunk to the height of a chart.

use maud::{Markup, PreEscaped, html};
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

/// What a thing is drawn in; `style.css` names the same stand-ins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colour {
    Main,
    Second,
    Good,
    Warn,
    Bad,
    Text,
    Grid,
}

impl Colour {
    const fn stand_in(self) -> RGBColor {
        RGBColor(1, 0, 0xC0 + self as u8)
    }

    /// For what stands beside a chart and explains it.
    pub fn class(self) -> &'static str {
        match self {
            Self::Main => "main",
            Self::Second => "second",
            Self::Good => "good",
            Self::Warn => "warn",
            Self::Bad => "bad",
            Self::Text | Self::Grid => "muted",
        }
    }
}

/// The text alternative. The id is unique in the page.
pub struct About {
    pub id: String,
    pub title: String,
    /// The numbers in words.
    pub description: String,
}

/// A horizontal bar.
pub struct Bar {
    pub label: String,
    pub value: i64,
    /// The value as people read it.
    pub text: String,
    pub colour: Colour,
}

pub struct Line {
    pub name: String,
    pub colour: Colour,
    pub points: Vec<(i64, i64)>,
}

/// What is drawn over two axes.
pub struct Plane<'a> {
    pub lines: Vec<Line>,
    /// Columns of width 1, each from its place on.
    pub columns: Vec<(i64, i64, Colour)>,
    /// Places on the lower axis with a name, each an upright line.
    pub marks: Vec<(i64, String)>,
    /// Heights that a reader looks for.
    pub levels: Vec<i64>,
    pub x_name: &'a str,
    pub x_label: &'a dyn Fn(i64) -> String,
    pub y_label: &'a dyn Fn(i128) -> String,
    /// At most so many places are named below.
    pub x_labels: usize,
}

type Drawn = Result<(), Box<dyn std::error::Error>>;

/// The library draws at whole places, so that a line of this width is smooth when it is shown at a quarter of it.
const WIDTH: u32 = 2_880;
const HEIGHT: u32 = 1_200;
const FONT: u32 = 64;
const THIN: u32 = 4;
/// Names of marks stand one above the other: two marks may be close.
const MARK: i32 = 80;
/// Above this the axes of the library would lose digits.
const LARGEST: i64 = 1_000_000_000_000;

pub fn bars(about: &About, bars: &[Bar]) -> Markup {
    const ROW: i32 = 120;
    const BEFORE: i32 = 920;
    const AFTER: i128 = 640;
    let rows = i32::try_from(bars.len()).unwrap_or(i32::MAX / ROW - 1);
    drawing(about, (rows * ROW).unsigned_abs() + 32, |area| {
        let largest = bars.iter().map(|bar| i128::from(bar.value)).max().unwrap_or(0).max(1);
        for (row, bar) in (0i32..).zip(bars) {
            let top = 16 + row * ROW;
            let room = i128::from(WIDTH) - i128::from(BEFORE) - AFTER;
            let length = i32::try_from(i128::from(bar.value.max(0)) * room / largest).unwrap_or(0);
            let shown = length.max(i32::from(bar.value > 0) * 8);
            let from_to = [(BEFORE, top + 16), (BEFORE + shown, top + ROW - 24)];
            area.draw(&Rectangle::new(from_to, bar.colour.stand_in().filled()))?;
            area.draw(&Text::new(bar.label.clone(), (BEFORE - 32, top + 56), label(HPos::Right)))?;
            area.draw(&Text::new(bar.text.clone(), (BEFORE + shown + 32, top + 56), label(HPos::Left)))?;
        }
        Ok(())
    })
}

pub fn plane(about: &About, plane: &Plane<'_>) -> Markup {
    let legend = plane.lines.iter().filter(|_| plane.lines.len() > 1);
    html! {
        (drawing(about, HEIGHT, |area| draw_plane(area, plane)))
        @if plane.lines.len() > 1 {
            ul.legend aria-hidden="true" {
                @for line in legend { li { span.swatch.(line.colour.class()) {} (line.name) } }
            }
        }
    }
}

fn draw_plane(area: &DrawingArea<SVGBackend<'_>, Shift>, plane: &Plane<'_>) -> Drawn {
    let points = || plane.lines.iter().flat_map(|line| line.points.iter().copied());
    let columns = || plane.columns.iter().map(|(at, value, _)| (*at, *value));
    let highest = points().chain(columns()).map(|(_, y)| y).chain(plane.levels.iter().copied()).max();
    let last = points().map(|(x, _)| x).chain(columns().map(|(x, _)| x + 1)).max().unwrap_or(0).max(1);
    let unit = shrinking(highest.unwrap_or(0));
    let top = (highest.unwrap_or(0) / unit).max(1);
    let y = |value: i64| value.max(0) / unit;
    let y_text = |value: &i64| (plane.y_label)(i128::from(*value) * i128::from(unit));
    let x_text = |value: &i64| (plane.x_label)(*value);
    let mut chart = ChartBuilder::on(area)
        .margin(40)
        .margin_right(96)
        .margin_top(48 + i32::try_from(plane.marks.len()).unwrap_or(0) * MARK)
        .x_label_area_size(184)
        .y_label_area_size(368)
        .build_cartesian_2d(0i64..last, 0i64..top + top.div_euclid(20).max(1))?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .x_labels(plane.x_labels)
        .y_labels(6)
        .x_desc(plane.x_name)
        .x_label_formatter(&x_text)
        .y_label_formatter(&y_text)
        .axis_style(Colour::Grid.stand_in().stroke_width(THIN))
        .bold_line_style(Colour::Grid.stand_in().stroke_width(THIN))
        .set_all_tick_mark_size(20)
        .light_line_style(TRANSPARENT)
        .label_style(label(HPos::Center))
        .axis_desc_style(label(HPos::Center))
        .draw()?;
    for (at, value, colour) in &plane.columns {
        let corners = [(*at, 0), (at + 1, y(*value))];
        let mut column = Rectangle::new(corners, colour.stand_in().filled());
        column.set_margin(0, 0, u32::from(plane.columns.len() < 120) * THIN, 0);
        chart.draw_series([column])?;
    }
    for level in &plane.levels {
        let style = Colour::Text.stand_in().stroke_width(THIN);
        chart.draw_series(DashedLineSeries::new([(0, y(*level)), (last, y(*level))], 24, 16, style))?;
    }
    for (row, (at, name)) in (0i32..).zip(&plane.marks) {
        let style = Colour::Text.stand_in().stroke_width(THIN);
        chart.draw_series(DashedLineSeries::new([(*at, 0), (*at, top)], 12, 16, style))?;
        let (x, y) = chart.backend_coord(&(*at, top));
        area.draw(&Text::new(name.clone(), (x.clamp(240, 2_560), y - 48 - row * MARK), label(HPos::Center)))?;
    }
    for line in &plane.lines {
        let points = line.points.iter().map(|(at, value)| (*at, y(*value)));
        let style = line.colour.stand_in().stroke_width(12);
        chart.draw_series(LineSeries::new(points.clone(), style))?;
        if line.points.len() < 16 {
            let dots = points.map(|at| Circle::new(at, 16, line.colour.stand_in().filled()));
            chart.draw_series(dots)?;
        }
    }
    Ok(())
}

/// Whole units of the axis: 1, or so many that the axis stays below its largest.
fn shrinking(highest: i64) -> i64 {
    let mut unit = 1;
    while highest / unit > LARGEST {
        unit *= 10;
    }
    unit
}

fn label<'a>(side: HPos) -> TextStyle<'a> {
    const INK: RGBColor = Colour::Text.stand_in();
    TextStyle::from(("sans-serif", FONT).into_font()).color(&INK).pos(Pos::new(side, VPos::Center))
}

/// The library's own outer element has a size of its own and no text alternative, so ours takes its place.
fn drawing(
    about: &About,
    height: u32,
    draw: impl FnOnce(&DrawingArea<SVGBackend<'_>, Shift>) -> Drawn,
) -> Markup {
    let mut text = String::new();
    {
        let area = SVGBackend::with_string(&mut text, (WIDTH, height)).into_drawing_area();
        let drawn = draw(&area).and_then(|()| Ok(area.present()?));
        if drawn.is_err() {
            return html! { p { "This chart cannot be drawn. " (about.description) } };
        }
    }
    let inside = text.split_once('>').map_or("", |(_, rest)| rest);
    let inside = inside.trim_end().strip_suffix("</svg>").unwrap_or(inside);
    let (title, description) = (format!("{}-t", about.id), format!("{}-d", about.id));
    html! {
        div.plot tabindex="0" role="group" aria-label=(about.title) {
            svg.chart viewBox={ "0 0 " (WIDTH) " " (height) } role="img"
                aria-labelledby=(title) aria-describedby=(description) {
                title id=(title) { (about.title) }
                desc id=(description) { (about.description) }
                (PreEscaped(inside))
            }
        }
    }
}
