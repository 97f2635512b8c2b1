//! What is to be measured.

use anyhow::{Result, bail};

use crate::clients::Client;

/// Rounds of measurement, unless the command line gives others.
const ROUNDS: u32 = 5;

/// The requests of the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Options {
    /// Bytes that a browser has to fetch.
    pub(crate) size: bool,
    /// From navigation to the first prompt.
    pub(crate) start: bool,
    /// Echo, and output into the page.
    pub(crate) stream: bool,
    /// Measure the cost of a relay; this concerns no client, and is done only when it is asked for.
    pub(crate) relay: bool,
    /// The clients, in the order of their turns.
    pub(crate) clients: Vec<Client>,
    /// The number of rounds.
    pub(crate) rounds: u32,
    /// Print what happened when, of each visit.
    pub(crate) trace: bool,
}

impl Options {
    /// Parse words such as `size start tsconnect --rounds 3`; all of both clients, when there are none.
    pub(crate) fn parse(words: impl IntoIterator<Item = String>) -> Result<Self> {
        let mut options = Self {
            size: false,
            start: false,
            stream: false,
            relay: false,
            clients: Vec::new(),
            rounds: ROUNDS,
            trace: false,
        };
        let mut words = words.into_iter();
        while let Some(word) = words.next() {
            match word.as_str() {
                "size" => options.size = true,
                "start" => options.start = true,
                "stream" => options.stream = true,
                "relay" => options.relay = true,
                "--trace" => options.trace = true,
                "--rounds" => match words.next().and_then(|count| count.parse().ok()) {
                    Some(count @ 1..=100) => options.rounds = count,
                    _ => bail!("--rounds takes a number from 1 to 100"),
                },
                name => match Client::BOTH.into_iter().find(|client| client.name() == name) {
                    Some(client) => options.clients.push(client),
                    None => {
                        bail!("{name:?} is neither a measurement (size, start, stream, relay) nor a client")
                    }
                },
            }
        }
        if !(options.size || options.start || options.stream || options.relay) {
            (options.size, options.start, options.stream) = (true, true, true);
        }
        if options.clients.is_empty() {
            options.clients.extend(Client::BOTH);
        }
        Ok(options)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Options> {
        Options::parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn without_words_everything_is_measured() {
        let options = parse("").unwrap();
        assert!(options.size && options.start && options.stream && !options.relay);
        assert_eq!(options.clients, Client::BOTH);
        assert_eq!(options.rounds, ROUNDS);
    }

    #[test]
    fn words_choose() {
        let options = parse("start dayfly --rounds 2 --trace").unwrap();
        assert!(options.trace && !options.size && options.start && !options.stream);
        assert_eq!((options.clients, options.rounds), (vec![Client::Dayfly], 2));
        let options = parse("relay").unwrap();
        assert!(options.relay && !options.size && !options.start && !options.stream);
        assert!(parse("speed").is_err());
        assert!(parse("--rounds 0").is_err());
        assert!(parse("--rounds").is_err());
    }
}
