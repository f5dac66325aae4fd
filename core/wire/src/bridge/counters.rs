//! How often the kernel found no route for a packet: what a network name space without a network shows of attempts
//! to leave by address. Which address it was, the kernel does not say.

use std::fs;

/// Sum of `OutNoRoutes` of IPv4 and IPv6 in this process's network name space, or `None` where it cannot be read.
pub(super) fn packets_without_route() -> Option<u64> {
    let v4 = field_of_table(&fs::read_to_string("/proc/self/net/snmp").ok()?, "Ip:", "OutNoRoutes")?;
    // A kernel without IPv6 has no such file, and nothing can leave that way.
    let v6 =
        fs::read_to_string("/proc/self/net/snmp6").map_or(Some(0), |text| field_of_list(&text, "Ip6OutNoRoutes"))?;
    v4.checked_add(v6)
}

/// True when `::1` is there to connect to. Trying without it would itself count as a packet without a route.
pub(super) fn has_loopback_v6() -> bool {
    fs::read_to_string("/proc/self/net/if_inet6")
        .is_ok_and(|text| text.lines().any(|line| line.starts_with("00000000000000000000000000000001 ")))
}

/// A number from `/proc/net/snmp`: a line of names, then a line of numbers, both opening with the protocol.
fn field_of_table(text: &str, protocol: &str, name: &str) -> Option<u64> {
    let mut lines = text.lines().filter(|line| line.split(' ').next() == Some(protocol));
    let column = lines.next()?.split(' ').position(|field| field == name)?;
    lines.next()?.split(' ').nth(column)?.parse().ok()
}

/// A number from `/proc/net/snmp6`: a name and a number on each line.
fn field_of_list(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_column_is_found_by_its_name() {
        let text = "Ip: Forwarding DefaultTTL OutDiscards OutNoRoutes\nIp: 2 64 7 12\nTcp: OutNoRoutes\nTcp: 99\n";
        assert_eq!(field_of_table(text, "Ip:", "OutNoRoutes"), Some(12));
        assert_eq!(field_of_table(text, "Ip:", "InNoRoutes"), None);
        assert_eq!(field_of_table("Ip: OutNoRoutes\n", "Ip:", "OutNoRoutes"), None);
    }

    #[test]
    fn a_longer_name_with_the_same_start_is_not_taken_for_it() {
        let text = "Ip6OutNoRoutesEver              \t5\nIp6OutNoRoutes                  \t3\n";
        assert_eq!(field_of_list(text, "Ip6OutNoRoutes"), Some(3));
    }

    #[test]
    fn this_kernel_tells() {
        assert!(packets_without_route().is_some());
    }
}
