//! Charts as SVG: a metric of both versions against its bound, shares, a timeline. Draws what it is given; a moment at which
//! nothing was measured is a gap.

use std::fmt::Write;

use jiff::Timestamp;

use crate::{
    domain::Share,
    report::{
        release::{State, Stretch},
        series::{Point, Series},
        story,
        watching::{scale, short},
    },
    text::html as text,
};

/// The picture's size, and the room at its left, top, right and bottom for what is written there.
const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 190.0;
const LEFT: f64 = 60.0;
const TOP: f64 = 12.0;
const RIGHT: f64 = 12.0;
const BOTTOM: f64 = 24.0;

/// Points of a line that are drawn: more than a screen has columns are not seen.
const POINTS: usize = 720;

/// From moments and values to places in the picture.
struct Frame {
    span: (Timestamp, Timestamp),
    ends: (f64, f64),
}

impl Frame {
    fn x(&self, at: Timestamp) -> f64 {
        let whole = self.span.1.duration_since(self.span.0).as_secs_f64();
        let part = if whole > 0.0 { at.duration_since(self.span.0).as_secs_f64() / whole } else { 0.0 };
        LEFT + part.clamp(0.0, 1.0) * (WIDTH - LEFT - RIGHT)
    }

    fn y(&self, value: f64) -> f64 {
        let (low, high) = self.ends;
        let part = if high > low { ((value - low) / (high - low)).clamp(0.0, 1.0) } else { 0.0 };
        HEIGHT - BOTTOM - part * (HEIGHT - TOP - BOTTOM)
    }

    /// The picture around what is drawn, with its axes: three values, three moments.
    fn around(&self, drawn: &str, unit: &str, what: &str) -> String {
        let mut picture = format!(
            "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" xmlns=\"http://www.w3.org/2000/svg\"><title>{}</title>\n",
            text(what)
        );
        for part in [0.0, 0.5, 1.0] {
            let value = self.ends.0 + (self.ends.1 - self.ends.0) * part;
            let y = self.y(value);
            let _ = writeln!(
                picture,
                "<line x1=\"{LEFT}\" y1=\"{y:.1}\" x2=\"{:.1}\" y2=\"{y:.1}\" stroke=\"var(--line)\" />\
                 <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                WIDTH - RIGHT,
                LEFT - 6.0,
                y + 4.0,
                text(format!("{} {unit}", short(value)).trim_end())
            );
        }
        let whole = self.span.1.duration_since(self.span.0);
        for (part, anchor) in [(0, "start"), (1, "middle"), (2, "end")] {
            let at = self.span.0 + whole / 2 * part;
            let _ = writeln!(
                picture,
                "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"{anchor}\">{}</text>",
                self.x(at),
                HEIGHT - 6.0,
                at.strftime("%H:%M:%S")
            );
        }
        let _ = write!(picture, "{drawn}</svg>");
        picture
    }
}

/// A line through what was measured: a moment without a value ends it, the next begins it anew.
fn line(values: impl Iterator<Item = Option<(f64, f64)>>, style: &str) -> String {
    let mut path = String::new();
    let mut is_open = false;
    for value in values {
        match value {
            Some((x, y)) => {
                let _ = write!(path, "{}{x:.1} {y:.1}", if is_open { 'L' } else { 'M' });
                // A value between two gaps is a dot.
                if !is_open {
                    let _ = write!(path, "h.1");
                }
                is_open = true;
            }
            None => is_open = false,
        }
    }
    if path.is_empty() { String::new() } else { format!("<path d=\"{path}\" fill=\"none\" {style} />\n") }
}

/// A metric of both versions against its bound, with the moments that matter as upright lines.
pub(super) fn metric(series: &Series, span: (Timestamp, Timestamp), marks: &[(Timestamp, String)]) -> String {
    let (scale, unit) = scale(series.unit);
    let points: Vec<Point> =
        if series.points.len() > POINTS { crate::report::series::evenly(&series.points, POINTS) } else { series.points.clone() };
    let values = points.iter().flat_map(|point| [point.new, point.before, point.bound]).flatten().map(|value| value * scale);
    let frame = Frame { span, ends: crate::report::series::ends(values, series.unit) };
    let place = |value: &dyn Fn(&Point) -> Option<f64>| -> Vec<Option<(f64, f64)>> {
        points.iter().map(|point| value(point).map(|value| (frame.x(point.at), frame.y(value * scale)))).collect()
    };
    let mut drawn = String::new();
    for (at, what) in marks.iter().filter(|(at, _)| *at >= span.0 && *at <= span.1).take(1) {
        let x = frame.x(*at);
        let near_the_end = x > WIDTH * 0.7;
        let (place, anchor) = if near_the_end { (x - 4.0, "end") } else { (x + 4.0, "start") };
        let _ = writeln!(
            drawn,
            "<line x1=\"{x:.1}\" y1=\"{TOP}\" x2=\"{x:.1}\" y2=\"{:.1}\" stroke=\"var(--bound)\" stroke-width=\"1\" />\
             <text x=\"{place:.1}\" y=\"{:.1}\" text-anchor=\"{anchor}\">{}</text>",
            HEIGHT - BOTTOM,
            TOP + 10.0,
            text(what)
        );
    }
    drawn.push_str(&line(place(&|point| point.bound).into_iter(), "stroke=\"var(--bound)\" stroke-width=\"1.5\" stroke-dasharray=\"5 4\""));
    drawn.push_str(&line(
        place(&|point| point.before).into_iter(),
        "stroke=\"var(--before)\" stroke-width=\"1.5\" stroke-linecap=\"round\"",
    ));
    drawn.push_str(&line(place(&|point| point.new).into_iter(), "stroke=\"var(--new)\" stroke-width=\"2\" stroke-linecap=\"round\""));
    frame.around(&drawn, unit, &series.metric)
}

/// The new version's share, which stays what it is until it is set again.
pub(super) fn shares(shares: &[(Timestamp, Share)], span: (Timestamp, Timestamp)) -> String {
    let last = shares.last().map_or(span.1, |(at, _)| *at);
    let first = shares.first().map_or(span.0, |(at, _)| *at);
    let frame = Frame { span: (span.0.min(first), span.1.max(last)), ends: (0.0, 100.0) };
    let mut path = format!("M{:.1} {:.1}", frame.x(frame.span.0), frame.y(0.0));
    for (at, share) in shares {
        let _ = write!(path, "H{:.1}V{:.1}", frame.x(*at), frame.y(share.ratio() * 100.0));
    }
    let _ = write!(path, "H{:.1}V{:.1}", frame.x(frame.span.1), frame.y(0.0));
    let mut drawn = format!("<path d=\"{path}\" fill=\"var(--new)\" fill-opacity=\".15\" stroke=\"var(--new)\" stroke-width=\"2\" />\n");
    for (at, share) in shares {
        let x = frame.x(*at);
        let (x, anchor) = if x > WIDTH * 0.9 { (x - 3.0, "end") } else { (x + 3.0, "start") };
        let y = (frame.y(share.ratio() * 100.0) - 3.0).max(10.0);
        let _ = writeln!(drawn, "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{}</text>", text(&share.to_string()));
    }
    frame.around(&drawn, "%", "share of people on the new version")
}

/// Stretches as bars, one under the other; moments as upright lines. `None` where there are none.
pub(super) fn timeline(stretches: &[Stretch], moments: &[(Timestamp, String)]) -> Option<String> {
    const ROW: f64 = 24.0;
    const NAMES: f64 = 190.0;
    let from = stretches.iter().map(|stretch| stretch.from).min()?;
    let to = stretches.iter().map(|stretch| stretch.to).chain(moments.iter().map(|(at, _)| *at)).max()?;
    let whole = to.duration_since(from).as_secs_f64().max(0.001);
    let x = |at: Timestamp| NAMES + (at.duration_since(from).as_secs_f64() / whole).clamp(0.0, 1.0) * (WIDTH - NAMES - 90.0);
    // So few rows that a float counts them.
    let height = ROW * (stretches.len() as f64 + 1.0);
    let mut picture =
        format!("<svg viewBox=\"0 0 {WIDTH} {height:.0}\" role=\"img\" xmlns=\"http://www.w3.org/2000/svg\"><title>timeline</title>\n");
    for (row, stretch) in stretches.iter().enumerate() {
        let y = ROW * row as f64;
        let (left, right) = (x(stretch.from), x(stretch.to));
        let colour = match stretch.state {
            State::Done => "var(--good)",
            State::Running => "var(--new)",
            State::Failed => "var(--bound)",
        };
        let took = u64::try_from(stretch.to.duration_since(stretch.from).as_millis()).unwrap_or_default();
        let _ = writeln!(
            picture,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>\
             <rect x=\"{left:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"14\" rx=\"3\" fill=\"{colour}\" />\
             <text x=\"{:.1}\" y=\"{:.1}\">{}</text>",
            NAMES - 8.0,
            y + 16.0,
            text(&stretch.name),
            y + 5.0,
            (right - left).max(2.0),
            right.max(left + 2.0) + 6.0,
            y + 16.0,
            text(&story::duration(took))
        );
    }
    let y = height - 6.0;
    for (at, anchor) in [(from, "start"), (to, "end")] {
        let _ = writeln!(picture, "<text x=\"{:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{}</text>", x(at), at.strftime("%H:%M:%S"));
    }
    for (at, what) in moments {
        let place = x(*at);
        let _ = writeln!(
            picture,
            "<line x1=\"{place:.1}\" y1=\"0\" x2=\"{place:.1}\" y2=\"{:.1}\" stroke=\"var(--bound)\" stroke-dasharray=\"3 3\"><title>{}</title></line>",
            height - ROW,
            text(&format!("{} {what}", at.strftime("%H:%M:%S")))
        );
    }
    picture.push_str("</svg>");
    Some(picture)
}
