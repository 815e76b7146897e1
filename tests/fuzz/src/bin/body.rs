//! A chunked body. However it comes in pieces it is the same body and ends at the same byte; it never grows beyond its
//! bound; and what the writer makes of it reads back.

#![no_main]

use fourcast::http::body::{Decoder, LAST_CHUNK, chunk};
use fourcast::http::head::BodyFraming;
use fourcast_fuzz::cuts;
use libfuzzer_sys::fuzz_target;

const MOST: u64 = 300;

/// The payload, and how many bytes the body took if it ended; else the status of the refusal.
type Outcome = Result<(Vec<u8>, Option<usize>), u16>;

fuzz_target!(|input: &[u8]| {
    let mut outcomes = cuts(input).map(|pieces| read(&pieces));
    let whole = outcomes.next().expect("one piece");
    for other in outcomes {
        assert_eq!(whole, other);
    }
    if let Ok((payload, Some(end))) = &whole {
        assert_eq!(read(&[&input[..*end]]), whole, "what follows counts");
        for shorter in 0..*end {
            let begun = read(&[&input[..shorter]]);
            assert!(matches!(begun, Ok((_, None))), "it ended at {shorter} too");
        }
        let mut written = Vec::new();
        payload
            .chunks(16)
            .for_each(|data| chunk(data, &mut written));
        written.extend_from_slice(LAST_CHUNK);
        assert_eq!(
            read(&[&written]),
            Ok((payload.clone(), Some(written.len())))
        );
    }
});

fn read(pieces: &[&[u8]]) -> Outcome {
    let mut decoder = Decoder::new(BodyFraming::Chunked, MOST).expect("a decoder");
    let (mut payload, mut taken) = (Vec::new(), 0);
    for piece in pieces {
        let progress = decoder.decode(piece, &mut payload);
        let progress = progress.map_err(|refusal| refusal.row().status)?;
        assert!(payload.len() as u64 <= MOST);
        assert_eq!(progress.done, decoder.is_done());
        taken += progress.consumed;
        if progress.done {
            return Ok((payload, Some(taken)));
        }
        assert_eq!(
            progress.consumed,
            piece.len(),
            "bytes are left over before the end"
        );
    }
    Ok((payload, None))
}
