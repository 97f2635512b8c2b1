//! A plain OpenSSH server behind a `tailscaled` is reached through the tailnet, by key, and the namespace's normal
//! user is there. It proves the harness for the tests of our own client.

use std::process::Command;

use anyhow::{Result, ensure};
use dayfly_tests::process::{output_of, shell_code};
use dayfly_tests::sshd::{PASSWORD, USER, make_key};
use dayfly_tests::wait::READY;
use dayfly_tests::{Sshd, SshdOptions, scenario, tools, with_user};

#[test]
fn openssh_admits_a_key() -> Result<()> {
    scenario(|lab| {
        let key = lab.peer_dir("keys")?.join("id");
        let options = SshdOptions { authorized_key: Some(make_key(&key)?), ..SshdOptions::default() };
        let sshd = Sshd::start(lab, options)?;
        let mut ssh = Command::new(tools::program("ssh")?);
        ssh.args([
            "-F",
            "none",
            "-o",
            "StrictHostKeyChecking=no",
            "-o",
            "UserKnownHostsFile=/dev/null",
            "-i",
        ]);
        ssh.arg(&key).args(["-p", &sshd.port().to_string(), "root@127.0.0.1", "id -un; exit 4"]);
        let output = output_of(ssh, READY)?;
        ensure!(String::from_utf8_lossy(&output.stdout).trim() == "root", "{output:?}");
        ensure!(shell_code(output.status) == 4, "{output:?}");
        ensure!(sshd.host_key()?.starts_with("ssh-ed25519 "));
        Ok(())
    })
}

#[test]
fn openssh_admits_a_password() -> Result<()> {
    with_user(|| {
        scenario(|lab| {
            for keyboard_interactive in [false, true] {
                let options = SshdOptions {
                    password: !keyboard_interactive,
                    keyboard_interactive,
                    ..SshdOptions::default()
                };
                let sshd = Sshd::start(lab, options)?;
                let askpass = lab.peer_dir("askpass")?.join("askpass");
                std::fs::write(&askpass, format!("#!/bin/sh\necho {PASSWORD}\n"))?;
                std::fs::set_permissions(&askpass, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
                let mut ssh = Command::new(tools::program("ssh")?);
                ssh.args([
                    "-F",
                    "none",
                    "-o",
                    "StrictHostKeyChecking=no",
                    "-o",
                    "UserKnownHostsFile=/dev/null",
                ]);
                ssh.args(["-p", &sshd.port().to_string(), &format!("{USER}@127.0.0.1"), "id -un"]);
                ssh.env("SSH_ASKPASS", &askpass).env("SSH_ASKPASS_REQUIRE", "force");
                let output = output_of(ssh, READY)?;
                ensure!(String::from_utf8_lossy(&output.stdout).trim() == USER, "{output:?}");
            }
            Ok(())
        })
    })
}
