//! An item is the head of one request, from its bytes to what it says.

use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use fourcast::http::head::{Ceilings, HeadParser};

/// As in the configuration's defaults.
const CEILINGS: Ceilings = Ceilings {
    head_bytes: 16 * 1024,
    target_bytes: 8 * 1024,
    fields: 100,
};

fn main() {
    divan::main();
}

#[divan::bench]
fn poll_of_curl(bencher: Bencher) {
    parse(
        bencher,
        "GET /chat HTTP/1.1\r\n\
         Host: localhost:8080\r\n\
         User-Agent: curl/8.14.1\r\n\
         Accept: */*\r\n\r\n",
    );
}

#[divan::bench]
fn event_source_of_chromium(bencher: Bencher) {
    parse(
        bencher,
        "GET /rooms/42,alerts?last=1 HTTP/1.1\r\n\
         Host: live.example.com\r\n\
         Connection: keep-alive\r\n\
         sec-ch-ua-platform: \"Linux\"\r\n\
         Cache-Control: no-cache\r\n\
         User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) \
         Chrome/142.0.0.0 Safari/537.36\r\n\
         Accept: text/event-stream\r\n\
         sec-ch-ua: \"Chromium\";v=\"142\", \"Not_A Brand\";v=\"99\"\r\n\
         sec-ch-ua-mobile: ?0\r\n\
         Origin: https://www.example.com\r\n\
         Sec-Fetch-Site: same-site\r\n\
         Sec-Fetch-Mode: cors\r\n\
         Sec-Fetch-Dest: empty\r\n\
         Referer: https://www.example.com/\r\n\
         Accept-Encoding: gzip, deflate, br, zstd\r\n\
         Accept-Language: en-GB,en;q=0.9,de;q=0.8\r\n\
         Last-Event-ID: no3376n35s-1234567\r\n\r\n",
    );
}

#[divan::bench]
fn publish_on_a_kept_connection(bencher: Bencher) {
    parse(
        bencher,
        "POST /orders/created?type=created HTTP/1.1\r\n\
         Host: events.internal:8080\r\n\
         User-Agent: python-requests/2.32.5\r\n\
         Accept-Encoding: gzip, deflate\r\n\
         Accept: */*\r\n\
         Connection: keep-alive\r\n\
         Content-Type: application/json\r\n\
         Idempotency-Key: 8f14e45f-ceea-467f-a0e6-2f5e2b1c7d9a\r\n\
         Content-Length: 64\r\n\r\n",
    );
}

fn parse(bencher: Bencher, head: &str) {
    let mut parser = HeadParser::default();
    bencher.counter(BytesCount::of_str(head)).bench_local(|| {
        match parser.parse(black_box(head.as_bytes()), &CEILINGS) {
            Ok(Some((head, _))) => head,
            other => panic!("{other:?} is no head"),
        }
    });
}
