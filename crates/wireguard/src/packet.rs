//! The length of an IP packet, by its header.

/// Length of the IP packet that `bytes` begin with; `None` where they are no IP packet, or are cut off. What follows
/// is padding.
pub(crate) fn ip_len(bytes: &[u8]) -> Option<usize> {
    const V4_HEADER: usize = 20;
    const V6_HEADER: usize = 40;
    let field = |at: usize| Some(usize::from(u16::from_be_bytes(*bytes.get(at..)?.first_chunk()?)));
    let (len, least) = match bytes.first()? >> 4 {
        4 => (field(2)?, V4_HEADER),
        6 => (V6_HEADER + field(4)?, V6_HEADER),
        _ => return None,
    };
    (least..=bytes.len()).contains(&len).then_some(len)
}

#[cfg(test)]
mod tests {
    use super::ip_len;

    #[test]
    fn padding_is_told_from_packets() {
        let mut v4 = [0; 48];
        (v4[0], v4[3]) = (0x45, 41);
        assert_eq!(ip_len(&v4), Some(41));
        assert_eq!(ip_len(&v4[..41]), Some(41));
        assert_eq!(ip_len(&v4[..40]), None);
        v4[3] = 19;
        assert_eq!(ip_len(&v4), None);

        let mut v6 = [0; 64];
        (v6[0], v6[5]) = (0x60, 9);
        assert_eq!(ip_len(&v6), Some(49));
        assert_eq!(ip_len(&v6[..49]), Some(49));
        assert_eq!(ip_len(&v6[..48]), None);
        v6[4] = 0xff;
        assert_eq!(ip_len(&v6), None);
    }

    #[test]
    fn other_bytes_are_no_packet() {
        for bytes in
            [&[][..], &[0x45], &[0x45, 0, 0], &[0x60, 0, 0, 0, 0], &[0; 64], &[0x54; 64], &[0xff; 64]]
        {
            assert_eq!(ip_len(bytes), None);
        }
    }
}
