//! The parts of the example programs that are worth testing on their own; the programs
//! themselves are in `src/bin`, one file each, and only read arguments and print.
//!
//! Everything here must be called on a goroutine unless it takes a `Runtime`: it is plain,
//! blocking-looking Rust over `go!` and channels, as a user of the runtime would write it.
//!
//! What `copy_semantics` shows cannot be undone by accident: a value that was moved into a
//! channel is gone for its sender, and the compiler says so.
//!
//! ```compile_fail,E0382
//! let (tx, _rx) = channels::bounded(1);
//! let name = String::from("ten");
//! tx.send(name).unwrap();
//! println!("{name}"); // borrow of moved value
//! ```

pub mod chat;
pub mod echo;
pub mod fetch;
pub mod from_asyncio;
pub mod from_go;
pub mod httpd;
pub mod pipeline;
pub mod prime_sieve;
pub mod program;
pub mod proxy;
pub mod serve;
pub mod skynet;
pub mod stop;
pub mod trace_view;
pub mod websocket;
pub mod wordcount;
