//! Recorded addresses that lead to another one in the same place, where a real server listens: nothing of it is the host's.

use std::{io, net::SocketAddr, time::Duration};

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

use super::inside::{ACCEPT_PAUSE, set_no_delay};

/// How long the server may take to accept. A choice: only a full backlog makes one wait.
const CONNECT_PATIENCE: Duration = Duration::from_secs(10);

/// Connections that are led at once; whoever comes then waits. A choice, far above what a pool opens.
const CONNECTIONS_MAX: usize = 2048;

/// Leads whatever connects to `listener` to `to`, until it is dropped.
pub(super) async fn lead_all(listener: TcpListener, to: SocketAddr) {
    let mut led = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept(), if led.len() < CONNECTIONS_MAX => match accepted {
                Ok((tcp, _)) => drop(led.spawn(lead(tcp, to))),
                Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
            },
            Some(_) = led.join_next() => {}
        }
    }
}

/// Carries bytes both ways until both ways have ended. What breaks off on one side is reset on the other.
async fn lead(mut tcp: TcpStream, to: SocketAddr) {
    let led = async {
        let mut server = tokio::time::timeout(CONNECT_PATIENCE, TcpStream::connect(to)).await??;
        set_no_delay(&tcp);
        set_no_delay(&server);
        copy_bidirectional(&mut tcp, &mut server).await?;
        io::Result::Ok(())
    };
    if led.await.is_err() {
        // It can only fail for a connection that is already gone.
        tcp.set_zero_linger().unwrap_or_default();
    }
}
