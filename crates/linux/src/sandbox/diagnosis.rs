//! From an errno to the setting of the machine that is behind it.

use std::fs;

use rustix::io::Errno;

use super::SandboxError;

/// A sysctl that, at one value, forbids namespaces.
struct Switch {
    setting: &'static str,
    forbidding: &'static str,
    wanted: &'static str,
    meaning: &'static str,
}

/// In the order of how surely they are the cause.
const SWITCHES: [Switch; 5] = [
    Switch {
        setting: "user.max_user_namespaces",
        forbidding: "0",
        wanted: "15000",
        meaning: "which turns user namespaces off",
    },
    Switch {
        setting: "user.max_net_namespaces",
        forbidding: "0",
        wanted: "15000",
        meaning: "which turns network namespaces off",
    },
    Switch {
        setting: "user.max_mnt_namespaces",
        forbidding: "0",
        wanted: "15000",
        meaning: "which turns mount namespaces off",
    },
    // Only kernels with the patch that Debian carries have it.
    Switch {
        setting: "kernel.unprivileged_userns_clone",
        forbidding: "0",
        wanted: "1",
        meaning: "which keeps user namespaces for root",
    },
    // Ubuntu 23.10 and later: the namespace is made, without any capability in it.
    Switch {
        setting: "kernel.apparmor_restrict_unprivileged_userns",
        forbidding: "1",
        wanted: "0",
        meaning: "with which AppArmor gives an unprivileged user's namespace no capabilities",
    },
];

/// The value of a sysctl, or nothing when this kernel does not have it.
pub(super) fn read_setting(setting: &str) -> Option<String> {
    let text = fs::read_to_string(format!("/proc/sys/{}", setting.replace('.', "/"))).ok()?;
    Some(text.trim().to_owned())
}

/// Names the cause of `errno`, which `step` came back with.
pub(super) fn diagnose(step: &'static str, errno: Errno, read: &dyn Fn(&str) -> Option<String>) -> SandboxError {
    // EINVAL: no CONFIG_USER_NS (the single-thread rule was checked before); ENOSYS: filtered or absent.
    if matches!(errno, Errno::INVAL | Errno::NOSYS) {
        return SandboxError::Unsupported { errno };
    }
    for switch in &SWITCHES {
        if let Some(value) = read(switch.setting)
            && value == switch.forbidding
        {
            return SandboxError::Forbidden {
                setting: switch.setting,
                value,
                meaning: switch.meaning,
                wanted: switch.wanted,
                errno,
            };
        }
    }
    match errno {
        Errno::NOSPC | Errno::USERS => SandboxError::Exhausted { errno },
        _ => SandboxError::Refused { step, errno },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(setting: &'static str, value: &'static str) -> impl Fn(&str) -> Option<String> {
        move |asked| match asked {
            _ if asked == setting => Some(value.to_owned()),
            "user.max_user_namespaces" => Some("96365".to_owned()),
            _ => None,
        }
    }

    #[test]
    fn each_switch_is_named_with_the_command_that_mends_it() {
        for (setting, value, command) in [
            ("user.max_user_namespaces", "0", "sudo sysctl -w user.max_user_namespaces=15000"),
            ("kernel.unprivileged_userns_clone", "0", "sudo sysctl -w kernel.unprivileged_userns_clone=1"),
            (
                "kernel.apparmor_restrict_unprivileged_userns",
                "1",
                "sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0",
            ),
        ] {
            let text = diagnose("unshare", Errno::PERM, &with(setting, value)).to_string();
            assert!(text.contains(command), "{text}");
        }
    }

    #[test]
    fn without_a_switch_a_refusal_points_at_the_container() {
        let error = diagnose("unshare", Errno::PERM, &with("kernel.unprivileged_userns_clone", "1"));
        assert!(matches!(error, SandboxError::Refused { .. }), "{error}");
        let error = diagnose("unshare", Errno::NOSPC, &|_| None);
        assert!(matches!(error, SandboxError::Exhausted { .. }), "{error}");
    }
}
