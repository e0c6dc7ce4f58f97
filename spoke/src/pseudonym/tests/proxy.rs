//! A wire that breaks: what a custodian killed in mid-stream looks like from here.

use std::collections::VecDeque;
use std::net::SocketAddr;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// Forwards to `server`; the n-th connection breaks, without a word, after `limits[n]` bytes of answers. Later ones hold.
pub(super) async fn start(server: SocketAddr, limits: &[usize]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut limits: VecDeque<usize> = limits.iter().copied().collect();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let limit = limits.pop_front().unwrap_or(usize::MAX);
            tokio::spawn(forward(client, server, limit));
        }
    });
    address
}

async fn forward(client: TcpStream, server: SocketAddr, limit: usize) -> std::io::Result<()> {
    if limit == 0 {
        return Ok(());
    }
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = TcpStream::connect(server).await?.into_split();
    let up = async { tokio::io::copy(&mut from_client, &mut to_server).await.map(|_| ()) };
    let down = async {
        let (mut buffer, mut passed) = ([0; 4096], 0);
        while passed < limit {
            let read = from_server.read(&mut buffer).await?;
            if read == 0 {
                break;
            }
            to_client.write_all(&buffer[..read]).await?;
            passed += read;
        }
        std::io::Result::Ok(())
    };
    // Whichever ends first, both sockets are closed.
    tokio::select! {
        result = up => result,
        result = down => result,
    }
}
