//! Addresses and blocks, read strictly: what one program takes for `10.0.0.8` another takes for `10.0.0.10`.

use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net};

/// Why a text is not an address or a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NetworkError {
    /// Not a bare IPv4 or IPv6 address.
    #[error("is not a bare IPv4 or IPv6 address")]
    Address,
    /// Not `address/prefix`.
    #[error("is not a block in the form address/prefix")]
    Block,
    /// Bits beyond the prefix are set, so it is unclear which network is meant.
    #[error("has host bits set: the network is {0}")]
    HostBits(IpNet),
}

/// Reads a bare address: no prefix, port, brackets, zone or leading zeros. An IPv4-mapped IPv6 address is its IPv4
/// address (RFC 4291, 2.5.5.2).
///
/// # Errors
/// When the text is anything else.
pub fn parse_address(text: &str) -> Result<IpAddr, NetworkError> {
    text.parse::<IpAddr>()
        .map(|address| address.to_canonical())
        .map_err(|_| NetworkError::Address)
}

/// Reads `address/prefix` without host bits. A block of mapped addresses is its IPv4 block.
///
/// # Errors
/// When the text is anything else.
pub fn parse_block(text: &str) -> Result<IpNet, NetworkError> {
    let (address, prefix) = text.split_once('/').ok_or(NetworkError::Block)?;
    let address: IpAddr = address.parse().map_err(|_| NetworkError::Block)?;
    let plain = !prefix.is_empty()
        && prefix.bytes().all(|byte| byte.is_ascii_digit())
        && (prefix == "0" || !prefix.starts_with('0'));
    if !plain {
        return Err(NetworkError::Block);
    }
    let prefix: u8 = prefix.parse().map_err(|_| NetworkError::Block)?;
    let block = IpNet::new(address, prefix).map_err(|_| NetworkError::Block)?;
    if block != block.trunc() {
        return Err(NetworkError::HostBits(block.trunc()));
    }
    Ok(canonical(block))
}

fn canonical(block: IpNet) -> IpNet {
    let IpNet::V6(v6) = block else { return block };
    match (v6.addr().to_ipv4_mapped(), v6.prefix_len().checked_sub(96)) {
        (Some(v4), Some(prefix)) => Ipv4Net::new(v4, prefix).map_or(block, IpNet::V4),
        _ => block,
    }
}

/// What a ticket is bound to: an IPv4 address, or the /64 of an IPv6 address, since a device changes the rest by itself
/// (RFC 8981).
#[must_use]
pub fn device_network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => IpAddr::V4(v4),
        IpAddr::V6(v6) => {
            let high = u128::from(v6) & !u128::from(u64::MAX);
            IpAddr::V6(high.into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_bare_addresses_are_read() {
        for bad in [
            "",
            " 10.0.0.1",
            "10.0.0.1 ",
            "010.0.0.1",
            "10.0.0.1/32",
            "10.0.0.1:80",
            "[::1]",
            "fe80::1%eth0",
            "167772161",
            "0x7f.1",
            "10.1",
        ] {
            assert_eq!(parse_address(bad), Err(NetworkError::Address), "{bad:?}");
        }
        assert_eq!(
            parse_address("::ffff:10.20.0.5"),
            Ok("10.20.0.5".parse().unwrap())
        );
    }

    #[test]
    fn a_block_with_host_bits_or_odd_spelling_is_refused() {
        assert!(matches!(
            parse_block("10.1.2.3/16"),
            Err(NetworkError::HostBits(_))
        ));
        for bad in [
            "10.0.0.0",
            "10.0.0.0/",
            "10.0.0.0/33",
            "10.0.0.0/+8",
            "10.0.0.0/08",
            "010.0.0.0/8",
            "10.0.0.0/8/8",
        ] {
            assert_eq!(parse_block(bad), Err(NetworkError::Block), "{bad:?}");
        }
        assert_eq!(
            parse_block("::ffff:10.0.0.0/104"),
            Ok("10.0.0.0/8".parse().unwrap())
        );
    }

    #[test]
    fn a_device_keeps_its_ticket_within_its_64() {
        let a = device_network("2001:db8:1::1".parse().unwrap());
        let b = device_network("2001:db8:1::ffff:1".parse().unwrap());
        assert_eq!(a, b);
    }
}
