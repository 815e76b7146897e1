//! What the targets have in common. Each is a file in `bin` that says what must hold for every input, not only that
//! nothing panics. `tests/fuzz/run` builds and runs them.

/// Input as it may come over a socket: in one piece, byte by byte, and in pieces of other lengths.
pub fn cuts(input: &[u8]) -> impl Iterator<Item = Vec<&[u8]>> {
    let longest = input.len().max(1);
    [longest, 1, 7]
        .map(|length| input.chunks(length).collect())
        .into_iter()
}
