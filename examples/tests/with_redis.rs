//! A blocking-style protocol library on goroutines: the `redis` crate's commands and parser over our
//! streams, against a real server.

use redis::{Cmd, FromRedisValue, Parser, Value};
use runtime::go;
use runtime::net::{TcpStream, UnixStream};
use std::io::{BufReader, Read, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A server of its own, ended with the test. Listens on a free port and on a unix socket.
struct Server {
    child: Child,
    dir: PathBuf,
    port: u16,
}

impl Server {
    fn start() -> Option<Server> {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let dir = std::env::temp_dir().join(format!("redis-of-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let child = Command::new("redis-server")
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
            .args(["--save", "", "--appendonly", "no", "--daemonize", "no"])
            .arg("--unixsocket")
            .arg(dir.join("socket"))
            .arg("--dir")
            .arg(&dir)
            .stdout(Stdio::null())
            .spawn();
        let Ok(child) = child else {
            // Past the capture of what tests print.
            let _ = writeln!(
                std::io::stderr(),
                "\nSKIPPED: redis-server is not installed"
            );
            let _ = std::fs::remove_dir_all(dir);
            return None;
        };
        let server = Server { child, dir, port };
        let start = Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err()
            || !server.socket().exists()
        {
            assert!(
                start.elapsed() < Duration::from_secs(20),
                "redis-server does not listen"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        Some(server)
    }

    fn socket(&self) -> PathBuf {
        self.dir.join("socket")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

/// A connection: whatever reads and writes.
struct Connection<S>(BufReader<S>, Parser);

impl<S: Read + Write> Connection<S> {
    fn new(stream: S) -> Connection<S> {
        Connection(BufReader::new(stream), Parser::new())
    }

    fn send(&mut self, cmd: &Cmd) {
        self.0
            .get_mut()
            .write_all(&cmd.get_packed_command())
            .unwrap();
    }

    fn receive<T: FromRedisValue>(&mut self) -> T {
        let value: Value = self.1.parse_value(&mut self.0).unwrap();
        T::from_redis_value(value).unwrap()
    }

    fn query<T: FromRedisValue>(&mut self, cmd: &Cmd) -> T {
        self.send(cmd);
        self.receive()
    }
}

fn cmd(words: &[&str]) -> Cmd {
    let mut cmd = redis::cmd(words[0]);
    words[1..].iter().for_each(|w| {
        cmd.arg(*w);
    });
    cmd
}

#[test]
fn goroutines_talk_to_a_real_server() {
    let Some(server) = Server::start() else {
        return;
    };
    for procs in [1, 2, 4] {
        let (port, socket) = (server.port, server.socket());
        runtime::start(procs).run(move || {
            let connect = move || Connection::new(TcpStream::connect(("127.0.0.1", port)).unwrap());
            let counting: Vec<_> = (0..50)
                .map(|i| {
                    go!(move || {
                        let mut c = connect();
                        let key = format!("key-{procs}-{i}");
                        c.query::<()>(&cmd(&["SET", &key, "value"]));
                        for _ in 0..50 {
                            c.query::<i64>(&cmd(&["INCR", &format!("counter-{procs}")]));
                        }
                        assert_eq!(c.query::<String>(&cmd(&["GET", &key])), "value");
                    })
                })
                .collect();
            // One who waits in the server, and one who ends the wait, over a unix socket.
            let waiting = go!(move || {
                let mut c = connect();
                c.query::<(String, String)>(&cmd(&["BLPOP", "list", "30"]))
            });
            counting.into_iter().for_each(|h| h.join().unwrap());
            let mut local = Connection::new(UnixStream::connect(socket).unwrap());
            let count: i64 = local.query(&cmd(&["GET", &format!("counter-{procs}")]));
            assert_eq!(count, 2500);
            assert!(!waiting.is_finished());
            local.query::<i64>(&cmd(&["RPUSH", "list", "pushed"]));
            assert_eq!(waiting.join().unwrap(), ("list".into(), "pushed".into()));
            // Many at once, answered in order; and one that is larger than all buffers.
            for i in 0..1000 {
                local.send(&cmd(&["ECHO", &i.to_string()]));
            }
            for i in 0..1000 {
                assert_eq!(local.receive::<i64>(), i);
            }
            let large = "x".repeat(8 << 20);
            local.query::<()>(&cmd(&["SET", "large", &large]));
            assert!(local.query::<String>(&cmd(&["GET", "large"])) == large);
        });
    }
}
