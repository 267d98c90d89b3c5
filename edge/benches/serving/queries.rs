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

/// A query with the middle letters of its first word swapped. None where that is no typo: the letters are the same, or it
/// has figures, and would be another number.
pub fn with_typo(query: &str) -> Option<String> {
    let end = query.find(' ').unwrap_or(query.len());
    let (first, rest) = query.split_at(end);
    let mut letters: Vec<char> = first.chars().collect();
    let middle = letters.len() / 2;
    if !letters.iter().all(|letter| letter.is_alphabetic()) || letters[middle - 1] == letters[middle] {
        return None;
    }
    letters.swap(middle - 1, middle);
    Some(letters.into_iter().chain(rest.chars()).collect())
}
