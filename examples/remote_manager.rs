//! A manager that other machines use: a guest book and a counter, over TCP, sealed with a key that both sides have in a file.
//!
//! ```sh
//! cargo run --features net --example remote_manager -- serve 127.0.0.1:5000 /tmp/key    # in one terminal, until Enter is pressed
//! cargo run --features net --example remote_manager -- sign 127.0.0.1:5000 /tmp/key you # in another one, or on another machine with that file
//! ```

use std::fs::OpenOptions;
use std::io::Write as _;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use multiprocess::{AuthKey, Error, ListProxy, Manager, Proxy, Result};

/// Lives in the manager's process. A client needs nothing of it but the names below.
struct Visits(u64);

impl Visits {
    fn count(&mut self) -> u64 {
        self.0 += 1;
        self.0
    }
}

/// A new key, in a file that only this user can read.
fn new_key(path: &Path) -> std::io::Result<AuthKey> {
    let key = AuthKey::generate();
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(key.to_hex().as_bytes())?;
    Ok(key)
}

fn serve(address: SocketAddr, key: &AuthKey) -> Result<()> {
    let manager = Manager::builder()
        .address(address)
        .authkey(key)
        .register::<Visits>("Visits", |visits| visits.create(|| Visits(0)).method("count", Visits::count))
        .blocking_start()?;
    let visits: Proxy<Visits> = manager.blocking_create_named("Visits", ())?;
    manager.blocking_publish("visits", &visits)?;
    manager.blocking_publish("guests", &manager.blocking_list::<String>()?)?;
    println!("listening at {}; Enter ends it", manager.address().expect("it has one"));
    let _read = std::io::stdin().read_line(&mut String::new());
    manager.blocking_shutdown()
}

fn sign(address: SocketAddr, key: &AuthKey, name: &str) -> Result<()> {
    let manager = Manager::blocking_connect_with(address, key)?;
    let visits: Proxy<Visits> = manager.blocking_find("visits")?.expect("the server has published it");
    let guests: ListProxy<String> = manager.blocking_find("guests")?.expect("the server has published it");
    guests.blocking_push(&name.to_owned())?;
    println!("visit {}", visits.blocking_call_named::<u64, _>("count", ())?);
    println!("guests: {}", guests.blocking_to_vec()?.join(", "));
    Ok(())
}

fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["serve", address, key] => serve(address.parse()?, &new_key(Path::new(key))?)?,
        ["sign", address, key, name] => {
            let key: AuthKey = std::fs::read_to_string(key)?.trim().parse()?;
            match sign(address.parse()?, &key, name) {
                Err(Error::Authentication { .. }) => eprintln!("the server has another key"),
                signed => signed?,
            }
        }
        _ => eprintln!("remote_manager serve ADDRESS KEYFILE | sign ADDRESS KEYFILE NAME"),
    }
    Ok(())
}
