//! What an operator meets while the journal does not answer: endpoints that hang, and a port that goes on.

use std::sync::atomic::Ordering;

use super::*;

impl Faulted {
    fn with_an_operator() -> Self {
        Self::start_as(|config| {
            config.admin.listen = Some(SocketAddr::from(([127, 0, 0, 1], 0)));
        })
    }

    /// Sends a request to the operator's port.
    fn ask_operator(&self, method: &str, target: &str) -> Client {
        let mut client = Client {
            socket: connect(self.server.admin_address().unwrap()),
            heard: Vec::new(),
        };
        client.ask(method, target);
        client
    }

    /// As many requests as there are threads for them, which hang until what comes back with them is dropped.
    fn hang(&self) -> (Vec<Client>, mpsc::Sender<()>) {
        let (begin, begun) = mpsc::channel();
        let (end, hangs) = mpsc::channel::<()>();
        let hangs = Mutex::new(hangs);
        let hang = move || {
            let _ = begin.send(());
            let _ = hangs.lock().unwrap().recv();
        };
        *self.faults.before_statistics.lock().unwrap() = Some(Arc::new(hang));
        let clients = [(), ()].map(|()| self.ask_operator("GET", "/metrics"));
        (0..2).for_each(|_| begun.recv_timeout(PATIENCE).unwrap());
        (clients.into(), end)
    }
}

#[test]
fn what_an_operator_was_told_to_be_refused_does_not_happen_later() {
    let faulted = Faulted::with_an_operator();
    let mut stream = faulted.stream("sse", "after=now");
    let seen = faulted.server.context.roster.look(0, 10);
    let number = seen.first().unwrap().number;
    let (clients, end) = faulted.hang();
    let mut late = faulted.ask_operator("DELETE", &format!("/-/connections/{number}"));
    assert!(late.answer().starts_with("HTTP/1.1 503 "));
    drop(end);
    for mut client in clients {
        client.rest();
    }
    let mut index = faulted.ask_operator("GET", "/-/index");
    assert!(index.rest().starts_with("HTTP/1.1 200 "));
    faulted.server.say("a");
    stream.wait_for_text(&faulted.id(1));
}

#[test]
fn a_journal_that_hangs_does_not_hold_up_a_stop_and_everyone_is_told_goodbye() {
    let faulted = Faulted::start_as(|config| {
        config.timeouts.drain = Duration::from_secs(1);
    });
    let (end, hangs) = mpsc::channel::<()>();
    let hangs = Mutex::new(hangs);
    let hang = move || {
        let _ = hangs.lock().unwrap().recv();
    };
    *faulted.faults.before_close.lock().unwrap() = Some(Arc::new(hang));
    let mut streams = STREAMS.map(|(way, _)| faulted.stream(way, "after=now"));
    let (tell, told) = mpsc::channel();
    let (server, faults) = (faulted.server, faulted.faults);
    let stopping = thread::spawn(move || {
        server.stop(Leaving::Restart);
        let _ = tell.send(());
    });
    assert_eq!(told.recv_timeout(PATIENCE), Ok(()));
    for stream in &mut streams {
        let rest = stream.rest();
        assert!(rest.contains(r#""op":"bye","code":1012"#), "{rest}");
    }
    let is_released = || faults.is_released.load(Ordering::Acquire);
    assert!(!is_released(), "whoever may write still keeps it");
    drop(end);
    stopping.join().unwrap();
    wait_until("it is let go of, however late", is_released);
}

#[test]
fn an_endpoint_that_hangs_does_not_hold_up_a_stop() {
    let faulted = Faulted::with_an_operator();
    let (mut clients, end) = faulted.hang();
    clients.push(faulted.ask_operator("GET", "/-/index"));
    let (tell, told) = mpsc::channel();
    let server = faulted.server;
    let stopping = thread::spawn(move || {
        server.end(Leaving::Away);
        let _ = tell.send(());
    });
    assert_eq!(told.recv_timeout(PATIENCE), Ok(()));
    drop(end);
    stopping.join().unwrap();
}
