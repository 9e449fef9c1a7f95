//! The curves: detection time against mistakes.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow};
use lab::qos::Curve;
use plotters::coord::Shift;
use plotters::prelude::*;
use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::{Options, Tree, fontdb};

use crate::field::{Field, INTERVAL};
use crate::table::millis;

/// Writes `<climate>.svg` and `<climate>.png` into a folder.
pub(crate) fn draw(field: &Field, folder: &Path) -> Result<()> {
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        picture(field, &root).map_err(|error| anyhow!("drawing: {error}"))?;
        root.present()
            .map_err(|error| anyhow!("drawing: {error}"))?;
    }
    let to = |ending| folder.join(format!("{}.{ending}", field.climate));
    let path = to("svg");
    fs::write(&path, &svg).with_context(|| path.display().to_string())?;
    let path = to("png");
    let bytes = raster(&svg)?;
    fs::write(&path, bytes).with_context(|| path.display().to_string())
}

/// At twice its size, so that it is sharp on a good screen.
fn raster(svg: &str) -> Result<Vec<u8>> {
    let mut fonts = fontdb::Database::new();
    fonts.load_font_data(epaint_default_fonts::UBUNTU_LIGHT.to_vec());
    let family = fonts.faces().next().and_then(|face| face.families.first());
    let family = family
        .map(|(name, _)| name.clone())
        .context("a font without a name")?;
    fonts.set_sans_serif_family(&family);
    let options = Options {
        font_family: family,
        fontdb: Arc::new(fonts),
        ..Options::default()
    };
    let tree = Tree::from_str(svg, &options)?;
    let mut pixels = Pixmap::new(SIZE.0 * 2, SIZE.1 * 2).context("no room for the picture")?;
    resvg::render(&tree, Transform::from_scale(2.0, 2.0), &mut pixels.as_mut());
    Ok(pixels.encode_png()?)
}

/// A curve as it is drawn.
struct Stroke<'a> {
    name: &'static str,
    curve: &'a Curve,
    colour: RGBColor,
    width: u32,
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Drawn = std::result::Result<(), Box<dyn std::error::Error>>;

fn picture(field: &Field, root: &Area<'_>) -> Drawn {
    root.fill(&WHITE)?;
    let strokes = strokes(field);
    let (left, right) = root.split_horizontally(SIZE.0 - LEGEND);
    let highest = highest(field);
    let mut chart = ChartBuilder::on(&left)
        .margin(24)
        .caption(title(field), ("sans-serif", 22))
        .x_label_area_size(52)
        .y_label_area_size(72)
        .build_cartesian_2d((RAREST..MOST).log_scale(), LEAST..highest)?;
    chart
        .configure_mesh()
        .x_desc("mistakes a day")
        .y_desc("mean detection time T_D, in ms")
        .axis_desc_style(("sans-serif", 16))
        .label_style(("sans-serif", 14))
        .x_label_formatter(&|rate| format!("{rate}"))
        .y_label_formatter(&|time| format!("{time:.0}"))
        .bold_line_style(FAINT.stroke_width(1))
        .light_line_style(WHITE)
        .axis_style(GREY.stroke_width(1))
        .draw()?;
    let daily = [(1.0, LEAST), (1.0, highest)];
    chart.draw_series(DashedLineSeries::new(daily, 5, 5, GREY.stroke_width(1)))?;
    let half = millis(INTERVAL) / 2.0;
    let least = [(RAREST, half), (MOST, half)];
    chart.draw_series(DashedLineSeries::new(least, 2, 4, GREY.stroke_width(1)))?;
    let note = ("sans-serif", 13).into_font().color(&GREY);
    // Above the line where there is no room below.
    let line = (highest - LEAST) / 100.0;
    let up = if half - LEAST > 5.0 * line {
        -line
    } else {
        4.0 * line
    };
    let place = (RAREST * 1.1, half + up);
    chart.draw_series([Text::new(
        "half an interval: nobody can be sooner",
        place,
        note,
    )])?;
    // Many of the published ones lie on top of each other: the first, and then ours, above the others.
    let (published, ours) = strokes.split_at(field.published.len());
    for stroke in published.iter().rev().chain(ours) {
        let style = stroke.colour.stroke_width(stroke.width);
        for piece in pieces(stroke.curve, highest) {
            chart.draw_series(LineSeries::new(piece, style))?;
        }
    }
    let learnt = (
        field.learnt.per_day().max(RAREST),
        millis(field.learnt.detection.mean),
    );
    if learnt.1 < highest {
        chart.draw_series([Circle::new(learnt, 7, OURS.filled())])?;
        chart.draw_series([Circle::new(learnt, 3, WHITE.filled())])?;
    }
    legend(&strokes, &right)
}

fn title(field: &Field) -> String {
    let said = field
        .best(1.0)
        .zip(field.ours.at(1.0))
        .map(|((_, best), ours)| {
            let ratio = ours.mean().as_secs_f64() / best.as_secs_f64();
            format!(
                ": at one mistake a day adaptive takes {ratio:.2} of the best published one's time"
            )
        });
    format!(
        "{}{}",
        field.climate.name().to_uppercase(),
        said.unwrap_or_default()
    )
}

fn strokes(field: &Field) -> Vec<Stroke<'_>> {
    let mut strokes = Vec::new();
    for ((published, curve), colour) in field.published.iter().zip(COLOURS) {
        strokes.push(Stroke {
            name: published.name(),
            curve,
            colour,
            width: 2,
        });
    }
    strokes.push(Stroke {
        name: "adaptive, plain socket",
        curve: &field.plain,
        colour: PLAIN,
        width: 3,
    });
    strokes.push(Stroke {
        name: "adaptive",
        curve: &field.ours,
        colour: OURS,
        width: 4,
    });
    strokes
}

/// As high as the best published one needs for a mistake a week, and a half more.
fn highest(field: &Field) -> f64 {
    let best = field.best(1.0 / 7.0).or(field.best(1.0));
    let best = best.map_or(4_000.0, |(_, best)| millis(best));
    ((best - LEAST) * 1.5 + LEAST).max(900.0)
}

/// What of a curve is within the picture.
fn pieces(curve: &Curve, highest: f64) -> Vec<Vec<(f64, f64)>> {
    let most = curve.points().first().map_or(0.0, lab::qos::Point::per_day);
    let steps = f64::from(STEPS);
    let rates = (0..=STEPS).map(|step| RAREST * (MOST / RAREST).powf(f64::from(step) / steps));
    let drawn = rates.map(|rate| {
        let point = curve.at(rate).filter(|_| rate <= most)?;
        Some((rate, millis(point.mean()))).filter(|(_, time)| *time <= highest)
    });
    let drawn: Vec<_> = drawn.collect();
    drawn
        .split(Option::is_none)
        .map(|piece| piece.iter().flatten().copied().collect())
        .filter(|piece: &Vec<_>| piece.len() > 1)
        .collect()
}

fn legend(strokes: &[Stroke<'_>], area: &Area<'_>) -> Drawn {
    let text = ("sans-serif", 16).into_font();
    let mut y = 96;
    for stroke in strokes.iter().rev() {
        let style = stroke.colour.stroke_width(stroke.width);
        area.draw(&PathElement::new([(0, y), (34, y)], style))?;
        area.draw(&Text::new(stroke.name, (44, y - 8), text.clone()))?;
        y += 30;
        if stroke.name == "adaptive" {
            area.draw(&Circle::new((17, y), 7, OURS.filled()))?;
            area.draw(&Circle::new((17, y), 3, WHITE.filled()))?;
            area.draw(&Text::new(
                "adaptive, as it learns",
                (44, y - 8),
                text.clone(),
            ))?;
            y += 30;
        }
    }
    Ok(())
}

/// In pixels.
const SIZE: (u32, u32) = (1180, 640);
const LEGEND: u32 = 240;
/// Mistakes a day.
const RAREST: f64 = 0.1;
const MOST: f64 = 100.0;
/// Milliseconds.
const LEAST: f64 = 400.0;
/// Points of a curve.
const STEPS: u32 = 240;
const OURS: RGBColor = RGBColor(200, 36, 36);
const PLAIN: RGBColor = RGBColor(240, 140, 120);
const GREY: RGBColor = RGBColor(120, 120, 120);
const FAINT: RGBColor = RGBColor(232, 232, 232);
/// Of the published ones.
const COLOURS: [RGBColor; 9] = [
    RGBColor(30, 30, 30),
    RGBColor(31, 100, 180),
    RGBColor(90, 170, 220),
    RGBColor(40, 140, 70),
    RGBColor(140, 80, 180),
    RGBColor(150, 150, 150),
    RGBColor(140, 190, 90),
    RGBColor(230, 160, 30),
    RGBColor(130, 90, 60),
];
