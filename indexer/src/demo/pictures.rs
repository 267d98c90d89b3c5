//! Drawn pictures of the demo shop: one for each shape and colour.

use std::path::Path;

use anyhow::{Context, Result};

use super::words::{COLORS, TYPES};

/// Draws every shape that a type of product names, in every colour.
pub(super) fn write(folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    let mut shapes: Vec<&str> = TYPES.iter().map(|kind| kind.shape).collect();
    shapes.sort_unstable();
    shapes.dedup();
    for shape in shapes {
        for color in COLORS {
            let path = folder.join(format!("{shape}-{}.svg", color.name));
            std::fs::write(&path, draw(shape, color.hex)).with_context(|| path.display().to_string())?;
        }
    }
    Ok(())
}

/// A shape on a light ground: `c` is filled with the colour, `d` with a darker shade of it, `w` is drawn in white.
fn draw(shape: &str, hex: &str) -> String {
    let body = match shape {
        "shirt" => {
            r#"<path class="c" d="M70 45l-38 22 14 32 16-8v69h76V91l16 8 14-32-38-22q-30 18-60 0z"/><path class="d" d="M70 45q30 18 60 0l-8-2q-22 12-44 0z"/>"#
        }
        "trousers" => {
            r#"<path class="c" d="M66 36h68l10 128h-34L100 84 90 164H56z"/><path class="d" d="M66 36h68l1 14H65z"/>"#
        }
        "dress" => {
            r#"<path class="c" d="M78 34l8 10q14 8 28 0l8-10 6 34-10 22 32 74H50l32-74-10-22z"/><path class="d" d="M80 92h40l3 8H77z"/>"#
        }
        "shoe" => {
            r#"<path class="c" d="M34 84q16 10 32-6l44 26q28 4 52 16 8 4 8 20H34z"/><path class="d" d="M32 140h138v12H36q-4 0-4-12z"/><path class="w" d="M86 96l12-10M98 103l12-10M110 109l10-9"/>"#
        }
        "boot" => {
            r#"<path class="c" d="M62 36h48v66q30 4 46 20 6 8 6 22H62z"/><path class="d" d="M58 144h106v14H58z"/><path class="w" d="M96 60h14M96 74h14M96 88h14"/>"#
        }
        "bag" => {
            r#"<path class="d" d="M76 60V50q0-18 24-18t24 18v10h-10V52q0-10-14-10t-14 10v8z"/><rect class="c" x="48" y="58" width="104" height="106" rx="20"/><rect class="d" x="62" y="108" width="76" height="42" rx="8"/>"#
        }
        "watch" => {
            r#"<path class="d" d="M82 30h36l4 40H78zM78 130h44l-4 40H82z"/><circle class="c" cx="100" cy="100" r="44"/><circle fill="white" cx="100" cy="100" r="33"/><path stroke="dimgrey" stroke-width="4" d="M100 78v22l15 9" fill="none"/>"#
        }
        "lamp" => r#"<path class="c" d="M72 34h56l22 58H50z"/><path class="d" d="M96 92h8v62h-8zM70 154h60v10H70z"/>"#,
        "chair" => {
            r#"<path class="c" d="M64 34h12v66h60v14H64z"/><path class="c" d="M76 40h44v44H76z" opacity=".7"/><path class="d" d="M64 114h10v52H64zM126 114h10v52h-10z"/>"#
        }
        "table" => {
            r#"<rect class="c" x="34" y="74" width="132" height="16" rx="4"/><path class="d" d="M46 90h12v70H46zM142 90h12v70h-12z"/><rect class="d" x="58" y="122" width="84" height="8"/>"#
        }
        "mug" => {
            r#"<path class="d" d="M134 76q34 0 34 28t-34 28v-14q18 0 18-14t-18-14z"/><path class="c" d="M48 58h90v74q0 20-20 20H68q-20 0-20-20z"/><ellipse class="d" cx="93" cy="58" rx="45" ry="8"/>"#
        }
        "bottle" => {
            r#"<rect class="d" x="84" y="28" width="32" height="22" rx="4"/><path class="c" d="M86 50h28q2 18 14 28 6 6 6 16v62q0 14-14 14H80q-14 0-14-14V94q0-10 6-16 12-10 14-28z"/>"#
        }
        "pan" => {
            r#"<rect class="d" x="132" y="92" width="56" height="12" rx="6"/><circle class="c" cx="84" cy="98" r="54"/><circle class="d" cx="84" cy="98" r="42"/>"#
        }
        "headphones" => {
            r#"<path fill="none" class="s" d="M48 112V98a52 52 0 0 1 104 0v14"/><rect class="c" x="36" y="104" width="30" height="54" rx="12"/><rect class="c" x="134" y="104" width="30" height="54" rx="12"/>"#
        }
        "speaker" => {
            r#"<rect class="c" x="58" y="30" width="84" height="140" rx="16"/><circle class="d" cx="100" cy="118" r="32"/><circle class="d" cx="100" cy="62" r="14"/>"#
        }
        "laptop" => {
            r#"<rect class="c" x="44" y="48" width="112" height="76" rx="8"/><rect fill="lightsteelblue" x="52" y="56" width="96" height="60"/><path class="d" d="M30 128h140l-6 14H36z"/>"#
        }
        "phone" => {
            r#"<rect class="c" x="66" y="28" width="68" height="144" rx="14"/><rect fill="lightsteelblue" x="72" y="40" width="56" height="112" rx="4"/><circle class="d" cx="100" cy="162" r="5"/>"#
        }
        "camera" => {
            r#"<path class="d" d="M76 52h48l8 16H68z"/><rect class="c" x="34" y="66" width="132" height="88" rx="12"/><circle class="d" cx="100" cy="110" r="32"/><circle fill="lightsteelblue" cx="100" cy="110" r="18"/>"#
        }
        "tent" => r#"<path class="c" d="M100 44l78 112H22z"/><path class="d" d="M100 84l28 72H72z"/>"#,
        "ball" => {
            r#"<circle class="c" cx="100" cy="100" r="62"/><path class="d" d="M100 76l24 17-9 28H85l-9-28z"/><path class="w" d="M100 76V40M124 93l34-12M115 121l20 28M85 121l-20 28M76 93L42 81"/>"#
        }
        _ => {
            r#"<path class="c" d="M40 70h120v88H40z"/><path class="d" d="M40 70l16-24h88l16 24z"/><path class="w" d="M100 46v24"/>"#
        }
    };
    format!(
        concat!(
            r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 200 200"><style>.c{{fill:{hex};stroke:#0002}}"#,
            ".d{{fill:{hex};filter:brightness(.72);stroke:#0003}}.w{{fill:none;stroke:#fffc;stroke-width:4}}",
            r#".s{{stroke:{hex};stroke-width:12}}</style><rect width="200" height="200" fill="whitesmoke"/>{body}</svg>"#,
        ),
        hex = hex,
        body = body,
    )
}
