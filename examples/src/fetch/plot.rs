//! The plot of the experiment, as SVG and as PNG. The font is part of the program, so it needs none
//! of the system's.

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::register_font;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

const SIZE: (u32, u32) = (960, 600);

const COLORS: [RGBColor; 3] = [
    RGBColor(0xd5, 0x5e, 0x00),
    RGBColor(0x00, 0x72, 0xb2),
    RGBColor(0x00, 0x9e, 0x73),
];

/// A row of the experiment: how many URLs, and how long each way took.
pub type Row = (usize, Vec<Duration>);

/// Draws `fetch.svg` and `fetch.png` in `dir`, which is made if it is not there.
///
/// # Errors
/// If they cannot be written, in words.
pub fn draw(
    dir: &Path,
    title: &str,
    names: &[String],
    rows: &[Row],
) -> Result<[PathBuf; 2], String> {
    let failed = |e: &dyn std::fmt::Display| format!("cannot draw in {}: {e}", dir.display());
    fs::create_dir_all(dir).map_err(|e| failed(&e))?;
    register_font("sans-serif", FontStyle::Normal, dejavu::sans::regular())
        .map_err(|_| failed(&"the font is broken"))?;
    let [svg, png] = [dir.join("fetch.svg"), dir.join("fetch.png")];
    chart(
        &SVGBackend::new(&svg, SIZE).into_drawing_area(),
        title,
        names,
        rows,
    )
    .map_err(|e| failed(&e))?;
    chart(
        &BitMapBackend::new(&png, SIZE).into_drawing_area(),
        title,
        names,
        rows,
    )
    .map_err(|e| failed(&e))?;
    Ok([svg, png])
}

fn chart<B: DrawingBackend>(
    area: &DrawingArea<B, Shift>,
    title: &str,
    names: &[String],
    rows: &[Row],
) -> Result<(), DrawingAreaErrorKind<B::ErrorType>> {
    area.fill(&WHITE)?;
    let seconds = || {
        rows.iter()
            .flat_map(|(_, times)| times)
            .map(Duration::as_secs_f64)
    };
    let least = seconds().fold(f64::MAX, f64::min).max(1e-6);
    let most = seconds().fold(0.0, f64::max).max(10.0 * least);
    let urls = rows.iter().map(|(n, _)| *n).max().unwrap_or(1) as f64;
    let mut chart = ChartBuilder::on(area)
        .caption(title, ("sans-serif", 22))
        .margin(16)
        .x_label_area_size(56)
        .y_label_area_size(80)
        .build_cartesian_2d(
            (0.9..urls * 1.3).log_scale().with_key_points(points(rows)),
            (least * 0.7..most * 1.6).log_scale(),
        )?;
    chart
        .configure_mesh()
        .x_desc("URLs")
        .y_desc("time")
        .label_style(("sans-serif", 16))
        .axis_desc_style(("sans-serif", 18))
        .light_line_style(BLACK.mix(0.05))
        .x_label_formatter(&|n| format!("{n:.0}"))
        .y_label_formatter(&|s| time_label(*s))
        .draw()?;
    for (i, name) in names.iter().enumerate() {
        let color = COLORS[i % COLORS.len()];
        let line: Vec<_> = rows
            .iter()
            .filter_map(|(n, times)| Some((*n as f64, times.get(i)?.as_secs_f64())))
            .collect();
        chart
            .draw_series(LineSeries::new(line.iter().copied(), color.stroke_width(3)))?
            .label(name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 24, y)], color.stroke_width(3)));
        chart.draw_series(line.iter().map(|&at| Circle::new(at, 5, color.filled())))?;
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .label_font(("sans-serif", 18))
        .background_style(WHITE.mix(0.9))
        .border_style(BLACK.mix(0.3))
        .draw()?;
    area.present()
}

fn points(rows: &[Row]) -> Vec<f64> {
    rows.iter().map(|(n, _)| *n as f64).collect()
}

fn time_label(seconds: f64) -> String {
    if seconds < 1.0 {
        format!("{:.0} ms", 1000.0 * seconds)
    } else {
        format!("{seconds:.0} s")
    }
}
