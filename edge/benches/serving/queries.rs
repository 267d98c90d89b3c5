//! Queries as shoppers type them, made of titles.

/// Two words of a title that stand side by side, others for each number. None where no word is plain.
pub fn two_words(title: &str, number: usize) -> Option<String> {
    let plain = |word: &&str| word.len() > 3 && word.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let words: Vec<&str> = title.split_whitespace().filter(plain).collect();
    let start = number % words.len().saturating_sub(1).max(1);
    let query = words[start.min(words.len())..words.len().min(start + 2)].join(" ");
    (!query.is_empty()).then_some(query)
}

/// A query while its last word is being typed: two letters are still to come.
pub fn unfinished(query: &str) -> &str {
    &query[..query.len() - 2]
}

/// A query with the middle letters of its first word swapped.
pub fn with_typo(query: &str) -> String {
    let mut letters = query.as_bytes().to_vec();
    let middle = letters.iter().position(|byte| *byte == b' ').unwrap_or(letters.len()) / 2;
    letters.swap(middle - 1, middle);
    String::from_utf8_lossy(&letters).into_owned()
}
