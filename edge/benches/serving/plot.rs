//! Line plots as SVG, both axes logarithmic: as many decades as the values need, and a colour a line.

use std::fmt::Write as _;

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 420.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 210.0;
const TOP: f64 = 40.0;
const BOTTOM: f64 = 50.0;
const COLOURS: [&str; 8] = ["#1b6ca8", "#c8553d", "#2e8b57", "#8a4fa3", "#b8860b", "#444444", "#1aa6a6", "#d14b8f"];

/// A line with its name, through points of x and y above 0.
pub struct Line {
    pub name: String,
    pub points: Vec<(f64, f64)>,
}

/// Draws lines over one another.
pub fn plot(title: &str, x_label: &str, y_label: &str, lines: &[Line]) -> String {
    let points = || lines.iter().flat_map(|line| line.points.iter().copied());
    let x = Axis::over(points().map(|point| point.0), LEFT, WIDTH - RIGHT);
    let y = Axis::over(points().map(|point| point.1), HEIGHT - BOTTOM, TOP);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" \
         font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
    );
    let mut add = |text: String| svg.push_str(&(text + "\n"));
    add(format!("<text x=\"{LEFT}\" y=\"24\" font-size=\"15\">{}</text>", escaped(title)));
    let middle = f64::midpoint(LEFT, WIDTH - RIGHT);
    add(format!("<text x=\"{middle}\" y=\"{}\" text-anchor=\"middle\">{}</text>", HEIGHT - 12.0, escaped(x_label)));
    let middle = f64::midpoint(TOP, HEIGHT - BOTTOM);
    let turned = format!("transform=\"rotate(-90 16 {middle})\"");
    add(format!("<text x=\"16\" y=\"{middle}\" text-anchor=\"middle\" {turned}>{}</text>", escaped(y_label)));
    for tick in x.ticks() {
        let at = x.place(tick);
        add(format!("<line x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"{TOP}\" y2=\"{}\" stroke=\"#ddd\"/>", HEIGHT - BOTTOM));
        add(format!("<text x=\"{at:.1}\" y=\"{}\" text-anchor=\"middle\">{}</text>", HEIGHT - 34.0, short(tick)));
    }
    for tick in y.ticks() {
        let at = y.place(tick);
        add(format!("<line x1=\"{LEFT}\" x2=\"{}\" y1=\"{at:.1}\" y2=\"{at:.1}\" stroke=\"#ddd\"/>", WIDTH - RIGHT));
        add(format!("<text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>", LEFT - 6.0, at + 4.0, short(tick)));
    }
    for (number, line) in lines.iter().enumerate() {
        let colour = COLOURS[number % COLOURS.len()];
        let mut path = String::new();
        for (at, point) in line.points.iter().enumerate() {
            let step = if at == 0 { 'M' } else { 'L' };
            let _ = write!(path, "{step}{:.1} {:.1} ", x.place(point.0), y.place(point.1));
            add(format!(
                "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"3\" fill=\"{colour}\"/>",
                x.place(point.0),
                y.place(point.1)
            ));
        }
        add(format!("<path d=\"{path}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>"));
        let (left, at) = (WIDTH - RIGHT + 14.0, TOP + 10.0 + 20.0 * number as f64);
        add(format!("<rect x=\"{left}\" y=\"{}\" width=\"12\" height=\"12\" fill=\"{colour}\"/>", at - 10.0));
        add(format!("<text x=\"{}\" y=\"{at}\">{}</text>", left + 18.0, escaped(&line.name)));
    }
    svg + "</svg>\n"
}

/// A logarithmic axis from one place of the drawing to another.
struct Axis {
    low: f64,
    high: f64,
    from: f64,
    to: f64,
}

impl Axis {
    fn over(values: impl Iterator<Item = f64>, from: f64, to: f64) -> Self {
        let (low, high) = values.fold((f64::MAX, f64::MIN), |(low, high), value| (low.min(value), high.max(value)));
        let (low, high) = (low.max(1e-9).log10(), high.max(1e-9).log10());
        let margin = ((high - low) * 0.05).max(0.05);
        Self { low: low - margin, high: high + margin, from, to }
    }

    fn place(&self, value: f64) -> f64 {
        let share = (value.max(1e-9).log10() - self.low) / (self.high - self.low);
        self.from + share * (self.to - self.from)
    }

    /// 1, 2 and 5 of every decade that it covers.
    fn ticks(&self) -> Vec<f64> {
        let decades = self.low.floor() as i32..=self.high.ceil() as i32;
        let all = decades.flat_map(|decade| [1.0, 2.0, 5.0].map(|digit| digit * 10_f64.powi(decade)));
        all.filter(|tick| (self.low..=self.high).contains(&tick.log10())).collect()
    }
}

/// 20000 as 20k.
fn short(value: f64) -> String {
    match value {
        value if value >= 1e6 => format!("{}M", value / 1e6),
        value if value >= 1e3 => format!("{}k", value / 1e3),
        value => format!("{}", (value * 1e6).round() / 1e6),
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}
