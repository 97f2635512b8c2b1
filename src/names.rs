//! The names that steps and states have in the page's API.
//!
//! Each is written once, here. What goes out to the page takes it from `as_str`, and TypeScript's types of them,
//! `www/src/names.ts`, are written by a test of this module, which fails where the file says anything else.

/// Makes an enum whose variants are names of the page's API, and in tests its TypeScript.
macro_rules! names {
    ($(#[doc = $doc:literal] $name:ident { $(#[doc = $about:literal] $variant:ident = $text:literal,)+ })+) => {
        $(
            #[doc = $doc]
            #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
            pub enum $name {
                $(#[doc = $about] $variant,)+
            }

            impl $name {
                /// Returns the name in the page's API.
                #[must_use]
                pub const fn as_str(self) -> &'static str {
                    match self {
                        $(Self::$variant => $text,)+
                    }
                }

                #[cfg(test)]
                const DOC: &str = $doc.trim_ascii();
                #[cfg(test)]
                const ALL: &[&str] = &[$($text,)+];
            }
        )+
    };
}

names! {
    /// Steps of the way into a tailnet, in their order.
    JoinStep {
        /// Reaching the control server.
        Control = "control",
        /// Registering the node, by a key or by a person who signs in.
        Login = "login",
        /// Receiving the map of the tailnet.
        Netmap = "netmap",
        /// Reaching the home region's relay.
        Relay = "relay",
    }

    /// Steps of the way to a shell, in their order.
    ShellStep {
        /// Reaching the relay of the machine's home region.
        Relay = "relay",
        /// The WireGuard handshake with the machine.
        WireGuard = "wireguard",
        /// Connecting to the machine's SSH port.
        Tcp = "tcp",
        /// SSH's version and key exchange.
        Ssh = "ssh",
        /// Checking the machine's host key.
        HostKey = "host-key",
        /// Authenticating to the SSH server.
        Auth = "auth",
        /// Opening the channel, and in it the shell.
        Shell = "shell",
    }

    /// Steps that are on neither way, and that errors name all the same.
    OtherStep {
        /// The module itself.
        Engine = "engine",
        /// The tailnet's policy.
        Policy = "policy",
    }

    /// States of a node. `needs-approval`: an administrator has to approve it, and it goes on by itself then.
    TailnetState {
        /// On its way into the tailnet.
        Connecting = "connecting",
        /// Waiting for a person to sign in.
        NeedsLogin = "needs-login",
        /// Waiting for an administrator to approve the node.
        NeedsApproval = "needs-approval",
        /// In the tailnet.
        Running = "running",
        /// Without the control server; sessions go on.
        Reconnecting = "reconnecting",
        /// Ended by a failure.
        Failed = "failed",
        /// Removed from the tailnet by the control server, or logged out.
        Closed = "closed",
    }

    /// States of the connection to a relay.
    RelayState {
        /// Being dialled.
        Connecting = "connecting",
        /// Ready to carry packets.
        Connected = "connected",
        /// Lost or refused, and dialled again later.
        Failed = "failed",
        /// About to be closed by a relay that restarts.
        Restarting = "restarting",
        /// Closed, since nobody needs it.
        Closed = "closed",
    }
}

/// Step that an error names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// On the way into the tailnet.
    Join(JoinStep),
    /// On the way to a shell.
    Shell(ShellStep),
    /// On neither.
    Other(OtherStep),
}

impl Step {
    /// Returns the name in the page's API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Join(step) => step.as_str(),
            Self::Shell(step) => step.as_str(),
            Self::Other(step) => step.as_str(),
        }
    }
}

impl From<JoinStep> for Step {
    fn from(step: JoinStep) -> Self {
        Self::Join(step)
    }
}

impl From<ShellStep> for Step {
    fn from(step: ShellStep) -> Self {
        Self::Shell(step)
    }
}

impl From<OtherStep> for Step {
    fn from(step: OtherStep) -> Self {
        Self::Other(step)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;
    use std::{env, fs};

    use super::*;

    /// One type of `names.ts`, with its documentation.
    fn union(name: &str, doc: &str, names: &[&str]) -> String {
        let names: String = names.iter().map(|name| format!("\n  | \"{name}\"")).collect();
        format!("\n/** {doc} */\nexport type {name} ={names};\n")
    }

    fn typescript() -> String {
        [
            "/** Names of steps and states, written from src/names.rs: \
             `DAYFLY_WRITE=1 cargo test -p dayfly-web names`. */\n"
                .to_owned(),
            union("JoinStep", JoinStep::DOC, JoinStep::ALL),
            union("ShellStep", ShellStep::DOC, ShellStep::ALL),
            union("OtherStep", OtherStep::DOC, OtherStep::ALL),
            "\n/** Every step that an error of the module names. */\n\
             export type Step = JoinStep | ShellStep | OtherStep;\n"
                .to_owned(),
            union("TailnetState", TailnetState::DOC, TailnetState::ALL),
            union("RelayState", RelayState::DOC, RelayState::ALL),
        ]
        .concat()
    }

    #[test]
    fn the_page_has_the_same_names() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("www/src/names.ts");
        if env::var_os("DAYFLY_WRITE").is_some() {
            fs::write(&path, typescript()).unwrap();
        }
        assert_eq!(fs::read_to_string(&path).unwrap(), typescript(), "write it anew: DAYFLY_WRITE=1");
    }

    #[test]
    fn no_two_steps_of_one_way_share_a_name() {
        for names in [JoinStep::ALL, ShellStep::ALL, TailnetState::ALL, RelayState::ALL] {
            assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len(), "{names:?}");
        }
    }
}
