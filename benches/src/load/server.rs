//! The server under load: a child process that says where it listens, and ends with us.

use std::io::{self, BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};

use super::Task;
use crate::peers::Peer;
use crate::peers::service::{Address, LISTENING};

/// A server that listens. Dropping it stops it.
#[derive(Debug)]
pub(super) struct Server {
    child: Child,
    /// The server ends when this does, however this process ends.
    input: Option<ChildStdin>,
    address: Address,
}

impl Server {
    /// Starts the server of `task`, on a Unix socket or on a port that the system chooses.
    pub fn start(task: &Task, unix: bool) -> io::Result<Server> {
        let address = match unix {
            true => Address::Unix(socket_path()),
            false => Address::Tcp(([127, 0, 0, 1], 0).into()),
        };
        let mut child = command(task, &address)?
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let input = child.stdin.take();
        let output = child.stdout.take().expect("it was piped");
        let mut server = Server {
            child,
            input,
            address,
        };
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        let heard = line.strip_prefix(LISTENING).map(|text| text.trim().parse());
        match heard {
            Some(Ok(address)) => server.address = address,
            _ => return Err(io::Error::other("the server does not listen")),
        }
        Ok(server)
    }

    pub fn address(&self) -> &Address {
        &self.address
    }

    pub fn process(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.input.take());
        // A server that is asked to compute without end may not look at its input.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Address::Unix(path) = &self.address {
            // It is in the system's directory for such things.
            let _ = std::fs::remove_file(path);
        }
    }
}

fn socket_path() -> PathBuf {
    std::env::temp_dir().join(format!("weft-compare-{}.socket", std::process::id()))
}

fn command(task: &Task, address: &Address) -> io::Result<Command> {
    let (service, procs) = (task.traffic.service().name(), task.procs.to_string());
    let address = address.to_string();
    if task.peer == Peer::Go {
        let program = task.go.as_ref();
        let program = program.ok_or_else(|| io::Error::other("there is no program for Go"))?;
        let mut command = Command::new(program);
        command.args(["-serve", service, "-address", &address]);
        command.env("GOMAXPROCS", procs);
        return Ok(command);
    }
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["serve", "--peer", task.peer.name(), "--service", service]);
    command.args(["--procs", &procs, "--address", &address]);
    Ok(command)
}
