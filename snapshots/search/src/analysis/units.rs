//! Units of measure, in the spellings of titles and queries.

/// One name for all spellings of a unit; None for a word that is no unit. What stands for a unit only behind a number
/// ("in", a quote) is one too, since nothing else is asked for.
pub(super) fn unit(word: &str) -> Option<&'static str> {
    let at = UNITS.binary_search_by(|(spelling, _)| (*spelling).cmp(word)).ok()?;
    Some(UNITS[at].1)
}

/// The name of a square or cubic unit: "sq" and "ft" are a "sqft".
pub(super) fn power(word: &str, unit: &str) -> Option<&'static str> {
    match (word, unit) {
        ("sq" | "square", "foot") => Some("sqft"),
        ("sq" | "square", "inch") => Some("sqin"),
        ("sq" | "square", "yard") => Some("sqyd"),
        ("sq" | "square", "meter") => Some("sqm"),
        ("cu" | "cubic", "foot") => Some("cuft"),
        ("cu" | "cubic", "inch") => Some("cuin"),
        ("cu" | "cubic", "yard") => Some("cuyd"),
        ("cu" | "cubic", "meter") => Some("cum"),
        ("fl" | "fluid", "ounce") => Some("ounce"),
        _ => None,
    }
}

/// Sorted by spelling.
const UNITS: &[(&str, &str)] = &[
    ("a", "amp"),
    ("amp", "amp"),
    ("ampere", "amp"),
    ("amperes", "amp"),
    ("amps", "amp"),
    ("awg", "gauge"),
    ("btu", "btu"),
    ("btus", "btu"),
    ("centimeter", "cm"),
    ("centimeters", "cm"),
    ("centimetre", "cm"),
    ("centimetres", "cm"),
    ("cfm", "cfm"),
    ("cl", "cl"),
    ("cm", "cm"),
    ("cuft", "cuft"),
    ("deg", "degree"),
    ("degree", "degree"),
    ("degrees", "degree"),
    ("feet", "foot"),
    ("foot", "foot"),
    ("ft", "foot"),
    ("g", "gram"),
    ("ga", "gauge"),
    ("gage", "gauge"),
    ("gal", "gallon"),
    ("gallon", "gallon"),
    ("gallons", "gallon"),
    ("gals", "gallon"),
    ("gauge", "gauge"),
    ("gb", "gb"),
    ("ghz", "ghz"),
    ("gigabyte", "gb"),
    ("gigabytes", "gb"),
    ("gr", "gram"),
    ("gram", "gram"),
    ("grams", "gram"),
    ("guage", "gauge"),
    ("horsepower", "hp"),
    ("hp", "hp"),
    ("hz", "hz"),
    ("in", "inch"),
    ("inch", "inch"),
    ("inches", "inch"),
    ("kg", "kg"),
    ("kilo", "kg"),
    ("kilogram", "kg"),
    ("kilograms", "kg"),
    ("kilos", "kg"),
    ("kw", "kw"),
    ("l", "liter"),
    ("lb", "pound"),
    ("lbs", "pound"),
    ("liter", "liter"),
    ("liters", "liter"),
    ("litre", "liter"),
    ("litres", "liter"),
    ("lt", "liter"),
    ("ltr", "liter"),
    ("lumen", "lumen"),
    ("lumens", "lumen"),
    ("m", "meter"),
    ("mah", "mah"),
    ("mb", "mb"),
    ("meter", "meter"),
    ("meters", "meter"),
    ("metre", "meter"),
    ("metres", "meter"),
    ("mg", "mg"),
    ("mhz", "mhz"),
    ("mil", "mil"),
    ("millimeter", "mm"),
    ("millimeters", "mm"),
    ("ml", "ml"),
    ("mm", "mm"),
    ("ounce", "ounce"),
    ("ounces", "ounce"),
    ("oz", "ounce"),
    ("pack", "pack"),
    ("packs", "pack"),
    ("pc", "piece"),
    ("pcs", "piece"),
    ("piece", "piece"),
    ("pieces", "piece"),
    ("pk", "pack"),
    ("pks", "pack"),
    ("pound", "pound"),
    ("pounds", "pound"),
    ("psi", "psi"),
    ("pt", "pint"),
    ("qt", "quart"),
    ("qts", "quart"),
    ("quart", "quart"),
    ("quarts", "quart"),
    ("sqft", "sqft"),
    ("tb", "tb"),
    ("terabyte", "tb"),
    ("v", "volt"),
    ("volt", "volt"),
    ("volts", "volt"),
    ("w", "watt"),
    ("watt", "watt"),
    ("watts", "watt"),
    ("yard", "yard"),
    ("yards", "yard"),
    ("yd", "yard"),
    ("yds", "yard"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_are_sorted_and_found() {
        assert!(UNITS.windows(2).all(|pair| pair[0].0 < pair[1].0));
        assert_eq!((unit("inches"), unit("in"), unit("shoe")), (Some("inch"), Some("inch"), None));
        assert_eq!(power("sq", "foot"), Some("sqft"));
    }
}
