//! Listeners and clients with certificates, and whoever has none, another one or an old one: nothing that those send becomes a connection or a value.
//!
//! What connections with certificates have in common with those with a key is tested for both in `listener_net.rs`.

#![cfg(feature = "tls")]

mod support;

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use multiprocess::{
    Address, AuthKey, Client, Connection, Error, Listener, Process, Receiver, Result, Sender, Tls,
};
use rustls::client::WebPkiServerVerifier;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection, StreamOwned};
use support::DEADLINE;
use support::alone::alone;
use support::authority::{Authority, Certified};
use support::census::Census;
use support::start_method::left_out;

const HOST: &str = "127.0.0.1";
/// The protocol within TLS, of this version.
const PROTOCOL: &[u8] = b"multiprocess/1";

fn listen(tls: &Tls) -> Listener {
    Listener::builder().tls(tls.clone()).bind((HOST, 0)).expect("there is a free port")
}

fn connect<A, B>(address: impl Into<Address>, tls: &Tls) -> Result<Connection<A, B>> {
    Client::builder().tls(tls.clone()).blocking_connect(address)
}

fn raw(listener: &Listener) -> TcpStream {
    let Address::Tcp { host, port } = listener.address() else { panic!("it listens on a port") };
    let stream = TcpStream::connect((host.as_str(), *port)).expect("it listens");
    stream.set_read_timeout(Some(DEADLINE)).expect("it is a time");
    stream
}

/// Why nobody was let in.
#[track_caller]
fn refusal<T: std::fmt::Debug>(outcome: Result<T>) -> &'static str {
    match outcome {
        Err(Error::Authentication { why }) => why,
        other => panic!("unexpected: {other:?}"),
    }
}

#[track_caller]
fn assert_refused(listener: &Listener, why: &str) {
    let said = refusal(listener.blocking_accept::<u32, u32>());
    assert!(said.contains(why), "{said}");
}

/// It still lets in who has a certificate, and both hear each other.
#[track_caller]
fn assert_open(listener: &Listener, tls: &Tls) {
    let theirs: Sender<u32> = connect(listener.address(), tls).expect("it listens");
    theirs.blocking_send(&7).expect("it is open");
    let receiver: Receiver<u32> = loop {
        match listener.blocking_accept() {
            Ok(receiver) => break receiver,
            Err(Error::Authentication { .. }) => {}
            Err(other) => panic!("unexpected: {other:?}"),
        }
    };
    assert_eq!(receiver.blocking_recv().expect("it was sent"), 7);
}

/// Both sides say why they do not meet.
#[track_caller]
fn assert_strangers(server: &Tls, client: &Tls, server_says: &str, client_says: &str) {
    let listener = listen(server);
    let said = refusal(connect::<u32, u32>(listener.address(), client));
    assert!(said.contains(client_says), "the client says: {said}");
    assert_refused(&listener, server_says);
}

// C074, C075, fault 92
#[test]
fn a_certificate_of_another_authority_is_refused_on_both_sides() {
    let (ours, other) = (Authority::new(), Authority::new());
    let (server, client) = (ours.issue(HOST), ours.issue("client"));
    assert_strangers(&server, &other.issue("client"), "does not trust the authority", "of no authority");
    // Only one of the two has another one.
    let theirs = other.certify("client", |_| {});
    let client_of_others =
        Tls::from_pem(&theirs.certificate, &theirs.key, ours.root()).expect("all is there");
    assert_strangers(&server, &client_of_others, "of no authority", "does not trust the authority");
    let theirs = other.certify(HOST, |_| {});
    let server_of_others =
        Tls::from_pem(&theirs.certificate, &theirs.key, ours.root()).expect("all is there");
    assert_strangers(&server_of_others, &client, "does not trust the authority", "of no authority");
    // One that has the name of another is not that.
    let (one, other) = (Authority::named("root"), Authority::named("root"));
    assert_strangers(&one.issue(HOST), &other.issue("client"), "does not take this", "of no authority");
    assert_open(&listen(&server), &client);
}

// fault 92
#[test]
fn a_certificate_whose_time_is_over_or_has_not_come_is_refused() {
    let authority = Authority::new();
    let (server, client) = (authority.issue(HOST), authority.issue("client"));
    let expired =
        |name: &str| authority.issue_with(name, |params| params.not_after = rcgen::date_time_ymd(2020, 1, 1));
    let early = |name: &str| {
        authority.issue_with(name, |params| params.not_before = rcgen::date_time_ymd(3020, 1, 1))
    };
    assert_strangers(&server, &expired("client"), "has expired", "has expired");
    assert_strangers(&expired(HOST), &client, "has expired", "has expired");
    assert_strangers(&server, &early("client"), "is not valid yet", "is not valid yet");
    assert_strangers(&early(HOST), &client, "is not valid yet", "is not valid yet");
}

// fault 93
#[test]
fn a_listener_whose_certificate_is_for_another_name_is_none() {
    let authority = Authority::new();
    let client = authority.issue("client");
    assert_strangers(&authority.issue("other.example"), &client, "does not take this", "for another name");
    // The certificate of a client does not make a listener of it.
    assert_strangers(&client, &client, "does not take this", "for another name");
    let listener = listen(&authority.issue("scores.example"));
    assert_open(&listener, &client.clone().server_name("scores.example"));
    let nameless = client.clone().server_name("no name at all");
    let connected = connect::<u32, u32>(listener.address(), &nameless);
    assert!(matches!(connected, Err(Error::Option { option: "server_name", .. })), "{connected:?}");
    let at_a_path = connect::<u32, u32>(std::path::Path::new("/nobody/is/here"), &client);
    assert!(matches!(at_a_path, Err(Error::Option { option: "server_name", .. })), "{at_a_path:?}");
}

#[test]
fn a_certificate_for_another_purpose_is_refused() {
    let authority = Authority::new();
    let only =
        |name: &str, purpose| authority.issue_with(name, |params| params.extended_key_usages.push(purpose));
    let server = only(HOST, rcgen::ExtendedKeyUsagePurpose::ServerAuth);
    let client = only("client", rcgen::ExtendedKeyUsagePurpose::ClientAuth);
    assert_open(&listen(&server), &client);
    assert_strangers(&server, &server, "for another purpose", "does not take this");
    let reversed = only(HOST, rcgen::ExtendedKeyUsagePurpose::ClientAuth);
    assert_strangers(&reversed, &client, "does not take this", "for another purpose");
}

/// A client of TLS that is none of this crate.
#[derive(Default)]
struct Foreign {
    certified: Option<Certified>,
    is_old: bool,
    protocols: Vec<Vec<u8>>,
}

type Raw = StreamOwned<ClientConnection, TcpStream>;

fn roots(authority: &Authority) -> Arc<RootCertStore> {
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(authority.root().as_bytes()).expect("it is one"))
        .expect("it is one");
    roots.into()
}

fn certificate(certified: &Certified) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
    let chain = vec![CertificateDer::from_pem_slice(certified.certificate.as_bytes()).expect("it is one")];
    (chain, PrivateKeyDer::from_pem_slice(certified.key.as_bytes()).expect("it is one"))
}

impl Foreign {
    fn connect(self, listener: &Listener, authority: &Authority) -> Raw {
        let versions = [if self.is_old { &TLS12 } else { &TLS13 }];
        let provider = Arc::new(default_provider());
        let verifier = WebPkiServerVerifier::builder_with_provider(roots(authority), Arc::clone(&provider));
        let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(&versions);
        let builder = builder
            .expect("there is such a version")
            .with_webpki_verifier(verifier.build().expect("it has a root"));
        let mut config = match &self.certified {
            Some(certified) => {
                let (chain, key) = certificate(certified);
                builder.with_client_auth_cert(chain, key).expect("they belong together")
            }
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = self.protocols;
        let name = ServerName::try_from(HOST).expect("it is a name");
        let connection = ClientConnection::new(Arc::new(config), name).expect("all is there");
        StreamOwned::new(connection, raw(listener))
    }
}

/// Nothing is sent to it but what belongs to the handshake.
#[track_caller]
fn assert_hears_nothing(mut client: Raw) {
    let mut heard = Vec::new();
    client.read_to_end(&mut heard).expect_err("it is not let in");
    assert!(heard.is_empty(), "{heard:?}");
}

// C074, fault 92
#[test]
fn a_client_without_a_certificate_is_refused() {
    let authority = Authority::new();
    let server = authority.issue(HOST);
    let listener = listen(&server);
    assert_hears_nothing(
        Foreign { protocols: vec![PROTOCOL.to_vec()], ..Foreign::default() }.connect(&listener, &authority),
    );
    assert_refused(&listener, "has shown no certificate");
    assert_open(&listener, &authority.issue("client"));
}

// fault 94, fault 103
#[test]
fn an_older_version_of_tls_and_another_of_the_protocol_are_refused() {
    let authority = Authority::new();
    let listener = listen(&authority.issue(HOST));
    let certified = || Some(authority.certify("client", |_| {}));
    let protocols = vec![PROTOCOL.to_vec()];
    assert_hears_nothing(
        Foreign { certified: certified(), is_old: true, protocols }.connect(&listener, &authority),
    );
    assert_refused(&listener, "another version of TLS");
    for protocols in
        [vec![], vec![b"h2".to_vec()], vec![b"multiprocess/0".to_vec(), b"multiprocess/2".to_vec()]]
    {
        assert_hears_nothing(
            Foreign { certified: certified(), is_old: false, protocols }.connect(&listener, &authority),
        );
        assert_refused(&listener, "another protocol, or another version");
    }
    assert_open(&listener, &authority.issue("client"));
}

/// A server of TLS that is none of this crate, for one client; it takes every client's certificate, and says this.
fn foreign_server(
    authority: &Authority,
    is_old: bool,
    protocol: Option<&[u8]>,
    says: &'static [u8],
) -> (Address, thread::JoinHandle<()>) {
    let (chain, key) = certificate(&authority.certify(HOST, |_| {}));
    let versions = [if is_old { &TLS12 } else { &TLS13 }];
    let builder =
        ServerConfig::builder_with_provider(default_provider().into()).with_protocol_versions(&versions);
    let builder = builder.expect("there is such a version").with_no_client_auth();
    let mut config = builder.with_single_cert(chain, key).expect("they belong together");
    config.alpn_protocols = protocol.map(<[u8]>::to_vec).into_iter().collect();
    config.send_tls13_tickets = 0;
    let server = TcpListener::bind((HOST, 0)).expect("there is a free port");
    let address = server.local_addr().expect("it has one").into();
    let serves = thread::spawn(move || {
        let (client, _) = server.accept().expect("somebody connects");
        let connection = ServerConnection::new(config.into()).expect("all is there");
        let mut stream = StreamOwned::new(connection, client);
        // It may have gone.
        let _refused = stream.write_all(says).and_then(|()| stream.flush());
        stream.conn.send_close_notify();
        let _refused = stream.flush();
        let _gone = stream.read_to_end(&mut Vec::new());
    });
    (address, serves)
}

/// Whether it is old, its protocol, what it says, and why it is none.
type Server = (bool, Option<&'static [u8]>, &'static [u8], &'static str);

// C075, fault 94, fault 103
#[test]
fn a_server_of_an_older_version_or_of_another_protocol_is_none() {
    let authority = Authority::new();
    let client = authority.issue("client");
    let servers: [Server; 5] = [
        (true, Some(PROTOCOL), b"", "another version of TLS"),
        (false, None, b"mptls\0\0\x01", "another protocol, or another version"),
        (false, Some(b"multiprocess/2"), b"mptls\0\0\x01", "another protocol, or another version"),
        (false, Some(PROTOCOL), b"mptls\0\0\x02", "another protocol, or another version"),
        (false, Some(PROTOCOL), b"", "has ended the handshake"),
    ];
    for (is_old, protocol, says, why) in servers {
        let (address, serves) = foreign_server(&authority, is_old, protocol, says);
        let said = refusal(connect::<u32, u32>(address, &client));
        assert!(said.contains(why), "{said}");
        serves.join().expect("it does not panic");
    }
}

// C079, fault 95
#[test]
fn garbage_of_every_length_is_refused() {
    let authority = Authority::new();
    let listener = listen(&authority.issue(HOST));
    for length in 0..=100 {
        let garbage: Vec<u8> = (0..length).map(|at: u8| at.wrapping_mul(31)).collect();
        let like_a_record = [&[22, 3, 1, 0, length][..], &garbage].concat();
        let like_an_alert = [&[21, 3, 3, 0, length][..], &garbage].concat();
        for bytes in [&garbage, &like_a_record, &like_an_alert] {
            let mut client = raw(&listener);
            let _refused = client.write_all(bytes).and_then(|()| client.shutdown(Shutdown::Write));
            assert_refused(&listener, "");
        }
    }
    // A record of more than there may be in one is refused by its head.
    let mut client = raw(&listener);
    client.write_all(&[22, 3, 1, 0xff, 0xff]).expect("it listens");
    assert_refused(&listener, "what came is no TLS");
    assert_open(&listener, &authority.issue("client"));
}

// fault 92
#[test]
fn a_slow_handshake_holds_up_nobody_and_ends_at_its_limit() {
    let authority = Authority::new();
    let client = authority.issue("client");
    let builder = Listener::builder().tls(authority.issue(HOST));
    let listener = builder.clone().bind((HOST, 0)).expect("there is a free port");
    let mut strangers: Vec<_> = (0..64).map(|_| raw(&listener)).collect();
    strangers[1].write_all(&[22, 3, 1]).expect("it listens");
    assert_open(&listener, &client);
    assert_eq!(strangers[0].read(&mut [0]).expect("it is closed in order"), 0, "the good one has its place");
    let listener =
        builder.handshake_timeout(Duration::from_millis(20)).bind((HOST, 0)).expect("there is a free port");
    for said in [&[][..], &[22], &[22, 3, 1, 0, 200, 1]] {
        let mut slow = raw(&listener);
        slow.write_all(said).expect("it listens");
        assert_refused(&listener, "in time");
        assert_eq!(slow.read(&mut [0]).expect("it is closed in order"), 0);
    }
    let silent = TcpListener::bind((HOST, 0)).expect("there is a free port");
    let address = silent.local_addr().expect("it has one");
    let impatient = Client::builder().tls(client).handshake_timeout(Duration::from_millis(20));
    let connected: Result<Sender<u32>> = impatient.blocking_connect(address);
    assert!(refusal(connected).contains("in time"));
}

#[test]
fn whoever_has_a_key_and_whoever_has_a_certificate_do_not_meet() {
    let (authority, key) = (Authority::new(), AuthKey::generate());
    let certified = listen(&authority.issue(HOST));
    let client = Client::builder().authkey(key.clone());
    refusal(client.blocking_connect::<u32, u32>(certified.address()));
    assert_refused(&certified, "no TLS");
    let keyed = Listener::builder().authkey(key.clone()).bind((HOST, 0)).expect("there is a free port");
    refusal(connect::<u32, u32>(keyed.address(), &authority.issue("client")));
    assert_refused(&keyed, "no handshake of this crate");
    let plain = Listener::new().expect("there is room for it");
    let named = authority.issue("client").server_name("localhost");
    assert!(refusal(connect::<u32, u32>(plain.address(), &named)).contains("neither key nor certificate"));
}

#[test]
fn there_is_a_key_or_a_certificate_and_never_both() {
    let (tls, key) = (Authority::new().issue(HOST), AuthKey::generate());
    let bound = Listener::builder().tls(tls.clone()).authkey(key.clone()).bind((HOST, 0));
    assert!(matches!(bound, Err(Error::Option { option: "tls", .. })), "{bound:?}");
    let both = Client::builder().authkey(key.clone()).tls(tls.clone());
    let connected: Result<Sender<u32>> = both.blocking_connect((HOST, 1));
    assert!(matches!(connected, Err(Error::Option { option: "tls", .. })), "{connected:?}");
    let served = multiprocess::Manager::builder().address((HOST, 0)).authkey(&key).tls(&tls).serve();
    assert!(matches!(served, Err(Error::Option { option: "tls", .. })), "{served:?}");
}

#[test]
fn what_is_no_certificate_or_has_another_key_is_an_error_and_is_never_shown() {
    let authority = Authority::new();
    let (one, other) = (authority.certify(HOST, |_| {}), authority.certify(HOST, |_| {}));
    let root = authority.root();
    let cut = &one.certificate[..one.certificate.len() / 2];
    let wrong = [
        ("", one.key.as_str(), root),
        (cut, one.key.as_str(), root),
        (one.certificate.as_str(), "", root),
        (one.certificate.as_str(), other.key.as_str(), root),
        (one.certificate.as_str(), one.key.as_str(), ""),
        (one.certificate.as_str(), one.key.as_str(), one.key.as_str()),
        (one.key.as_str(), one.certificate.as_str(), root),
    ];
    for (chain, key, roots) in wrong {
        let error = Tls::from_pem(chain, key, roots).expect_err("something is wrong with it");
        assert!(matches!(error, Error::Certificate { .. }), "{error:?}");
        assert!(!format!("{error} {error:?}").contains(&one.key[40..60]), "{error:?}");
    }
    let tls = Tls::from_pem(&one.certificate, &one.key, root).expect("all is there").server_name("me");
    assert_eq!(format!("{tls:?}"), "Tls { server_name: Some(\"me\"), .. }");
    let folder = support::scratch("tls");
    std::fs::create_dir(&folder).expect("it can be made");
    let path = |name: &str| folder.join(name);
    for (name, text) in [("chain", &*one.certificate), ("key", &one.key), ("roots", root)] {
        std::fs::write(path(name), text).expect("it can be written to");
    }
    let read = Tls::read(path("chain"), path("key"), path("roots")).expect("all is there");
    assert_open(&listen(&read), &authority.issue("client"));
    let error = Tls::read(path("chain"), path("none"), path("roots")).expect_err("there is no such file");
    assert!(error.to_string().contains("none cannot be read"), "{error}");
    std::fs::remove_dir_all(folder).expect("it is ours");
}

#[test]
fn certificates_with_others_in_between_lead_to_an_authority() {
    use rcgen::{BasicConstraints, IsCa, Issuer, KeyPair};
    let authority = Authority::new();
    let between =
        authority.certify("between", |params| params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0)));
    let key = KeyPair::from_pem(&between.key).expect("it is one");
    let issuer = {
        let mut params = rcgen::CertificateParams::new(["between".to_owned()]).expect("it is a name");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        Issuer::new(params, key)
    };
    let leaf = KeyPair::generate().expect("there is randomness");
    let params = rcgen::CertificateParams::new([HOST.to_owned()]).expect("it is a name");
    let certificate = params.signed_by(&leaf, &issuer).expect("it can be signed").pem();
    let chain = format!("{certificate}{}", between.certificate);
    let whole = Tls::from_pem(chain, leaf.serialize_pem(), authority.root()).expect("all is there");
    assert_open(&listen(&whole), &authority.issue("client"));
    let torn = Tls::from_pem(certificate, leaf.serialize_pem(), authority.root()).expect("all is there");
    assert_strangers(&torn, &authority.issue("client"), "does not trust the authority", "of no authority");
}

/// Somebody of this crate's protocol who was let in, and does what this crate does not.
fn let_in(listener: &Listener, authority: &Authority) -> Raw {
    let certified = Some(authority.certify("client", |_| {}));
    let mut client =
        Foreign { certified, is_old: false, protocols: vec![PROTOCOL.to_vec()] }.connect(listener, authority);
    let mut welcome = [0; 8];
    client.read_exact(&mut welcome).expect("it is let in");
    assert_eq!(&welcome, b"mptls\0\0\x01");
    client
}

fn head(length: u64) -> Vec<u8> {
    [&[1][..], &length.to_le_bytes()].concat()
}

fn says(client: &mut Raw, bytes: &[u8]) {
    client.write_all(bytes).and_then(|()| client.flush()).expect("it is open");
}

#[test]
fn records_that_are_empty_split_or_ask_for_new_keys_change_nothing() {
    let authority = Authority::new();
    let listener = listen(&authority.issue(HOST));
    let mut client = let_in(&listener, &authority);
    let ours: Connection<Vec<u8>, Vec<u8>> = listener.blocking_accept().expect("it was let in");
    for round in 0..3 {
        says(&mut client, b"");
        says(&mut client, &head(4));
        client.conn.refresh_traffic_keys().expect("there are keys");
        says(&mut client, b"ab");
        says(&mut client, b"cd");
        assert_eq!(ours.blocking_recv_bytes().expect("it was sent"), b"abcd");
        // It is answered with the new keys of the other side.
        ours.blocking_send_bytes(b"fine").expect("it is open");
        let mut answer = [0; 13];
        client.read_exact(&mut answer).expect("it is answered");
        assert_eq!(answer[..], [&head(4)[..], b"fine"].concat(), "round {round}");
    }
    client.conn.send_close_notify();
    client.flush().expect("it is open");
    drop(client);
    let error = ours.blocking_recv_bytes().expect_err("nothing more was sent");
    assert!(matches!(error, Error::Connection { .. }), "it was not said that this is the end: {error:?}");
}

#[test]
fn whoever_is_let_in_and_speaks_another_language_is_cut_off() {
    let authority = Authority::new();
    let listener = listen(&authority.issue(HOST));
    let two_in_one = [head(0), head(0)].concat();
    let with_head = [&head(2)[..], b"ab"].concat();
    let strange: [&[&[u8]]; 5] = [&[&two_in_one], &[&with_head], &[&head(2), b"abc"], &[b"x"], &[&[9; 9]]];
    for records in strange {
        let mut client = let_in(&listener, &authority);
        let ours: Receiver<Vec<u8>> = listener.blocking_accept().expect("it was let in");
        for record in records {
            says(&mut client, record);
        }
        let error = ours.blocking_recv_bytes().expect_err("it is no message");
        assert!(error.to_string().contains("cannot receive a message"), "{records:?}: {error:?}");
        assert!(
            matches!(ours.blocking_recv_bytes(), Err(Error::Connection { .. })),
            "nothing comes behind that"
        );
    }
    // What is longer than may be takes no memory.
    let mut client = let_in(&listener, &authority);
    let ours: Receiver<Vec<u8>> = listener.blocking_accept().expect("it was let in");
    says(&mut client, &head(u64::MAX));
    assert!(matches!(ours.blocking_recv_bytes(), Err(Error::MessageTooLarge { size: u64::MAX, .. })));
    assert_open(&listener, &authority.issue("client"));
}

/// What the man in the middle does to the bytes of the client, of which so many have gone before.
type Tamper = Box<dyn Fn(usize, Vec<u8>) -> Option<Vec<u8>> + Send>;

const WORDS: [&str; 3] = ["one", "two", "six"];

/// What a client sends over a connection that `tamper` stands in the middle of, and what the listener makes of it: the words that it receives, and the error
/// behind them. Nothing if nobody was let in. The last is how many bytes the client has sent.
fn sent_through(
    authority: &Authority,
    limit: Duration,
    tamper: Tamper,
) -> (Option<(Vec<String>, Error)>, usize) {
    let builder = Listener::builder().tls(authority.issue(HOST)).handshake_timeout(limit);
    let listener = builder.bind((HOST, 0)).expect("there is a free port");
    let middle = TcpListener::bind((HOST, 0)).expect("there is a free port");
    let address = middle.local_addr().expect("it has one");
    let server = raw(&listener);
    let relays = thread::spawn(move || relay(&middle, &server, &tamper));
    let client = Client::builder().tls(authority.issue("client"));
    let sends = thread::spawn(move || {
        let Ok(sender) = client.blocking_connect::<String, u32>(address) else { return };
        for word in WORDS {
            let _refused = sender.blocking_send(&word.to_owned());
        }
    });
    let received = listener.blocking_accept::<u32, String>().ok().map(|receiver| {
        let mut words = Vec::new();
        loop {
            match receiver.blocking_recv() {
                Ok(word) => words.push(word),
                Err(error) => return (words, error),
            }
        }
    });
    drop(listener);
    sends.join().expect("it does not panic");
    (received, relays.join().expect("it does not panic"))
}

/// Relays both directions; that of the client as `tamper` leaves it, and until it wants no more.
fn relay(middle: &TcpListener, server: &TcpStream, tamper: &Tamper) -> usize {
    let (client, _) = middle.accept().expect("the client connects");
    let (mut from_server, mut to_client) = (server, &client);
    thread::scope(|scope| {
        scope.spawn(move || {
            let _gone = std::io::copy(&mut from_server, &mut to_client);
            let _gone = to_client.shutdown(Shutdown::Both);
        });
        let (mut from_client, mut to_server, mut gone, mut room) = (&client, server, 0, [0; 4096]);
        while let Ok(came @ 1..) = from_client.read(&mut room) {
            let Some(bytes) = tamper(gone, room[..came].to_vec()) else { break };
            gone += came;
            if to_server.write_all(&bytes).is_err() {
                break;
            }
        }
        let _gone = to_server.shutdown(Shutdown::Write);
        gone
    })
}

// fault 93
#[test]
fn whatever_is_changed_or_cut_off_on_its_way_is_an_error_and_never_a_value() {
    let authority = Authority::new();
    let (received, all) = sent_through(&authority, DEADLINE, Box::new(|_, bytes| Some(bytes)));
    // Who waits for the rest of a record that has become longer on its way would wait so long.
    let limit = Duration::from_millis(200);
    let (words, end) = received.expect("it is let in");
    assert_eq!(words, WORDS);
    assert!(matches!(end, Error::Disconnected), "{end:?}");
    // All of what follows the handshake, and of that, which is long, some.
    let last = all - 150;
    for at in (0..last).step_by(47).chain(last..all) {
        let flip = move |gone: usize, mut bytes: Vec<u8>| {
            let place = at.checked_sub(gone).filter(|place| *place < bytes.len());
            if let Some(place) = place {
                bytes[place] ^= 1;
            }
            Some(bytes)
        };
        assert_only_words(sent_through(&authority, limit, Box::new(flip)).0, false, at);
        let cut = move |gone: usize, mut bytes: Vec<u8>| {
            bytes.truncate(at.saturating_sub(gone));
            (!bytes.is_empty()).then_some(bytes)
        };
        // Signatures have not always the same length, so that it may have been over before.
        let (received, sent) = sent_through(&authority, limit, Box::new(cut));
        assert_only_words(received, sent > at, at);
    }
}

/// No word that was not sent, none twice, none before its time; and a clean end only behind all of them.
#[track_caller]
fn assert_only_words(received: Option<(Vec<String>, Error)>, is_cut: bool, at: usize) {
    let Some((words, end)) = received else { return };
    assert!(WORDS.iter().map(ToString::to_string).collect::<Vec<_>>().starts_with(&words), "{at}: {words:?}");
    match end {
        // Of some bytes, such as the version in the head of a record, nobody takes notice.
        Error::Disconnected => assert!(!is_cut && words.len() == WORDS.len(), "{at}: {words:?}"),
        Error::Connection { .. } => {}
        other => panic!("{at}: {other:?}"),
    }
}

// fault 93
#[test]
fn a_handshake_that_is_relayed_to_a_listener_of_another_name_fails() {
    let authority = Authority::new();
    let (victim, other) = (authority.issue("client"), listen(&authority.issue("other.example")));
    let middle = TcpListener::bind((HOST, 0)).expect("there is a free port");
    let address = middle.local_addr().expect("it has one");
    let server = raw(&other);
    let relays =
        thread::spawn(move || relay(&middle, &server, &(Box::new(|_, bytes| Some(bytes)) as Tamper)));
    assert!(refusal(connect::<u32, u32>(address, &victim)).contains("another name"));
    assert_refused(&other, "");
    relays.join().expect("it does not panic");
}

#[test]
fn a_sender_that_is_killed_is_no_clean_end() {
    fn send_and_wait(address: Address, tls: Tls) {
        let sender: Connection<u32, u32> = connect(address, &tls).expect("it listens");
        sender.blocking_send(&7).expect("it is open");
        let _killed = sender.blocking_recv();
    }
    let authority = Authority::new();
    let listener = listen(&authority.issue(HOST));
    let arguments = (listener.address().clone(), authority.issue("client"));
    let process = Process::spawn(send_and_wait, arguments).expect("it starts");
    let receiver: Connection<u32, u32> = listener.blocking_accept().expect("it has connected");
    assert_eq!(receiver.blocking_recv().expect("it was sent"), 7);
    process.kill().expect("it runs");
    let error = receiver.blocking_recv().expect_err("it is dead");
    assert!(matches!(error, Error::Connection { .. }), "{error:?}");
    let _killed = process.blocking_join();
}

#[test]
fn listeners_and_connections_with_certificates_leave_nothing_behind() {
    fn use_one(authority: &Authority) {
        assert_open(&listen(&authority.issue(HOST)), &authority.issue("client"));
    }
    fn leave_some(authority: &Authority) {
        let listener = listen(&authority.issue(HOST));
        let _left: Connection<u32, u32> =
            connect(listener.address(), &authority.issue("client")).expect("it listens");
        let mut strange = raw(&listener);
        strange.write_all(&[22, 3, 1]).expect("it listens");
    }
    fn leave_a_large_message_half_sent(authority: &Authority) {
        let listener = listen(&authority.issue(HOST));
        let theirs: Connection<u32, Vec<u8>> =
            connect(listener.address(), &authority.issue("client")).expect("it listens");
        let ours: Connection<Vec<u8>, u32> = listener.blocking_accept().expect("it has connected");
        while ours.try_send(&vec![1; 1 << 20]).is_ok() {}
        drop((ours, theirs));
    }
    if left_out("the forkserver of all processes stays, with its descriptors") {
        return;
    }
    alone(|| {
        let authority = Authority::new();
        use_one(&authority);
        let before = Census::take();
        for _ in 0..3 {
            for way in [use_one, leave_some, leave_a_large_message_half_sent] {
                way(&authority);
                before.settles();
            }
        }
    });
}
