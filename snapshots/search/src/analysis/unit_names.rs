//! Units of measure by the names of languages other than English, folded. Abbreviations that all languages have stand
//! in `units.rs`.

/// The spellings of units in one language.
pub(super) type Names = &'static [(&'static str, &'static [&'static str])];

/// The names that a language has besides those of English. Words that mean something else in another language are units
/// in their own alone: "tum", "cal", "st".
pub(super) fn of(language: &str) -> Names {
    match language {
        "de" => &[
            ("inch", &["zoll"]),
            ("cm", &["zentimeter", "zentimetern"]),
            ("mm", &["millimetern"]),
            ("meter", &["metern"]),
            ("ml", &["milliliter"]),
            ("liter", &["litern"]),
            ("gram", &["gramm"]),
            ("kg", &["kilogramm"]),
            ("piece", &["stuck", "stucke", "stk"]),
            ("degree", &["grad"]),
        ],
        "nl" => &[
            ("inch", &["duim"]),
            ("ml", &["milliliter"]),
            ("piece", &["stuk", "stuks", "st"]),
            ("degree", &["graden"]),
        ],
        "sv" => &[
            ("inch", &["tum"]),
            ("ml", &["milliliter"]),
            ("piece", &["styck", "stycken", "st"]),
            ("degree", &["grader"]),
        ],
        "da" | "nb" | "nn" | "no" => &[
            ("inch", &["tomme", "tommer", "tommar"]),
            ("ml", &["milliliter"]),
            ("piece", &["stk", "styk", "stykk", "stykker"]),
            ("degree", &["grader"]),
        ],
        "fi" => &[
            ("inch", &["tuuma", "tuumaa", "tuuman"]),
            ("cm", &["senttimetri", "senttimetria"]),
            ("meter", &["metri", "metria", "metrin"]),
            ("liter", &["litra", "litraa", "litran"]),
            ("gram", &["gramma", "grammaa"]),
            ("kg", &["kiloa", "kilogramma", "kilogrammaa"]),
            ("piece", &["kpl"]),
            ("degree", &["astetta"]),
        ],
        "fr" => &[
            ("inch", &["pouce", "pouces"]),
            ("foot", &["pied", "pieds"]),
            ("mm", &["millimetre", "millimetres"]),
            ("cl", &["centilitre", "centilitres"]),
            ("ml", &["millilitre", "millilitres"]),
            ("gram", &["gramme", "grammes"]),
            ("kg", &["kilogramme", "kilogrammes"]),
            ("degree", &["degre", "degres"]),
        ],
        "es" => &[
            ("inch", &["pulgada", "pulgadas"]),
            ("cm", &["centimetro", "centimetros"]),
            ("mm", &["milimetro", "milimetros"]),
            ("meter", &["metro", "metros"]),
            ("ml", &["mililitro", "mililitros"]),
            ("liter", &["litro", "litros"]),
            ("gram", &["gramo", "gramos"]),
            ("kg", &["kilogramo", "kilogramos"]),
            ("piece", &["pieza", "piezas"]),
            ("degree", &["grado", "grados"]),
        ],
        "it" => &[
            ("inch", &["pollice", "pollici"]),
            ("cm", &["centimetro", "centimetri"]),
            ("mm", &["millimetro", "millimetri"]),
            ("meter", &["metro", "metri"]),
            ("ml", &["millilitro", "millilitri"]),
            ("liter", &["litro", "litri"]),
            ("gram", &["grammo", "grammi"]),
            ("kg", &["chilo", "chili", "chilogrammo", "chilogrammi"]),
            ("piece", &["pezzo", "pezzi", "pz"]),
            ("degree", &["grado", "gradi"]),
        ],
        "pt" => &[
            ("inch", &["polegada", "polegadas"]),
            ("cm", &["centimetro", "centimetros"]),
            ("mm", &["milimetro", "milimetros"]),
            ("meter", &["metro", "metros"]),
            ("ml", &["mililitro", "mililitros"]),
            ("liter", &["litro", "litros"]),
            ("gram", &["grama", "gramas"]),
            ("kg", &["quilo", "quilos", "quilograma", "quilogramas"]),
            ("piece", &["peca", "pecas"]),
            ("degree", &["grau", "graus"]),
        ],
        "ca" => &[("inch", &["polzada", "polzades"]), ("piece", &["peca", "peces"]), ("degree", &["grau", "graus"])],
        "ro" => &[
            ("inch", &["inci", "inchi"]),
            ("meter", &["metru", "metri"]),
            ("liter", &["litru", "litri"]),
            ("gram", &["grame"]),
            ("piece", &["bucata", "bucati", "buc"]),
        ],
        "cs" => &[
            ("inch", &["palec", "palce", "palcu"]),
            ("meter", &["metr", "metry", "metru"]),
            ("liter", &["litr", "litry", "litru"]),
            ("gram", &["gramu", "gramy"]),
            ("piece", &["kus", "kusy", "kusu", "ks"]),
        ],
        "pl" => &[
            ("inch", &["cal", "cale", "cali"]),
            ("meter", &["metr", "metry", "metrow"]),
            ("liter", &["litr", "litry", "litrow"]),
            ("gram", &["gramy", "gramow"]),
            ("piece", &["sztuka", "sztuki", "sztuk", "szt"]),
        ],
        "hu" => {
            &[("inch", &["huvelyk", "col"]), ("gram", &["gramm"]), ("kg", &["kilogramm"]), ("piece", &["darab", "db"])]
        }
        "tr" => &[("inch", &["inc"]), ("piece", &["adet"])],
        "id" => &[("inch", &["inci"])],
        "sr" => &[
            ("meter", &["metar", "metra", "metara", "метар", "метра", "метара"]),
            ("liter", &["litar", "litra", "litara", "литар", "литра", "литара"]),
            ("gram", &["grama", "грам", "грама"]),
            ("piece", &["komad", "komada", "kom", "комад", "комада", "ком"]),
        ],
        "ru" => &[
            ("inch", &["дюйм", "дюйма", "дюймов"]),
            ("cm", &["см", "сантиметр", "сантиметра", "сантиметров"]),
            ("mm", &["мм", "миллиметр", "миллиметра", "миллиметров"]),
            ("meter", &["м", "метр", "метра", "метров"]),
            ("ml", &["мл", "миллилитр", "миллилитра", "миллилитров"]),
            ("liter", &["л", "литр", "литра", "литров"]),
            ("gram", &["г", "гр", "грамм", "грамма", "граммов"]),
            ("kg", &["кг", "килограмм", "килограмма", "килограммов"]),
            ("watt", &["вт", "ватт"]),
            ("piece", &["шт", "штука", "штуки", "штук"]),
        ],
        "uk" => &[
            ("inch", &["дюйм", "дюйма", "дюйми", "дюймів"]),
            ("cm", &["см", "сантиметр", "сантиметри", "сантиметрів"]),
            ("mm", &["мм", "міліметр", "міліметри", "міліметрів"]),
            ("meter", &["м", "метр", "метри", "метрів"]),
            ("ml", &["мл", "мілілітр", "мілілітри", "мілілітрів"]),
            ("liter", &["л", "літр", "літри", "літрів"]),
            ("gram", &["г", "гр", "грам", "грами", "грамів"]),
            ("kg", &["кг", "кілограм", "кілограми", "кілограмів"]),
            ("watt", &["вт", "ват"]),
            ("piece", &["шт", "штука", "штуки", "штук"]),
        ],
        "el" => &[
            ("inch", &["ιντσα", "ιντσεσ"]),
            ("meter", &["μετρο", "μετρα"]),
            ("liter", &["λιτρο", "λιτρα"]),
            ("gram", &["γραμμαριο", "γραμμαρια"]),
            ("piece", &["τεμαχιο", "τεμαχια", "τεμ"]),
        ],
        "ar" => &[("inch", &["بوصة"]), ("meter", &["متر"]), ("liter", &["لتر"]), ("gram", &["جرام", "غرام"])],
        "hi" => &[("inch", &["इंच"]), ("meter", &["मीटर"]), ("liter", &["लीटर"]), ("gram", &["ग्राम"])],
        _ => &[],
    }
}

/// The unit that a text in a script without spaces begins with, and the length of its name.
pub(super) fn unspaced(text: &str) -> Option<(&'static str, usize)> {
    let (name, unit) = UNSPACED.iter().find(|(name, _)| text.starts_with(name))?;
    Some((*unit, name.len()))
}

const UNSPACED: [(&str, &str); 16] = [
    ("インチ", "inch"),
    ("センチメートル", "cm"),
    ("ミリメートル", "mm"),
    ("メートル", "meter"),
    ("ミリリットル", "ml"),
    ("リットル", "liter"),
    ("キログラム", "kg"),
    ("グラム", "gram"),
    ("英寸", "inch"),
    ("厘米", "cm"),
    ("毫米", "mm"),
    ("毫升", "ml"),
    ("公斤", "kg"),
    ("인치", "inch"),
    ("리터", "liter"),
    ("그램", "gram"),
];

#[cfg(test)]
mod tests {
    use super::super::fold::folded;
    use super::super::language::TAGS;
    use super::super::units;
    use super::*;

    #[test]
    fn names_are_folded_and_units_are_known() {
        for (unit, spellings) in TAGS.iter().flat_map(|tag| of(tag)) {
            assert_eq!(units::unit(unit), Some(*unit));
            for spelling in *spellings {
                assert_eq!(folded(spelling), *spelling);
                assert!(units::unit(spelling).is_none(), "{spelling} is one already");
            }
        }
        assert!(UNSPACED.iter().all(|(_, unit)| units::unit(unit) == Some(*unit)));
    }
}
