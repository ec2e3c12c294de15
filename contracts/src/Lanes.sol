// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title Addition of four words at once
/// @notice 32 bytes hold four little-endian words of 64 bits. With their bytes reversed they are four lanes of a number,
/// and all four are compared, added and reduced together.
/// @dev A lane never carries into its neighbour: below a modulus of at most 2^63 the sum of two residues has room in 64
/// bits, and modulo 2^64 the top bits are added on their own. `addEach` needs no such argument, and is what the others are
/// tested against.
library Lanes {
    uint256 internal constant TWO_64 = 1 << 64;

    uint256 private constant HIGHEST_IN_LANES = 1 << 63;
    // slither-disable-start too-many-digits: a mask shows all its digits
    uint256 private constant ONES = 0x0000000000000001_0000000000000001_0000000000000001_0000000000000001;
    uint256 private constant TOPS = 0x8000000000000000_8000000000000000_8000000000000000_8000000000000000;
    uint256 private constant RESTS = 0x7FFFFFFFFFFFFFFF_7FFFFFFFFFFFFFFF_7FFFFFFFFFFFFFFF_7FFFFFFFFFFFFFFF;
    uint256 private constant BYTES = 0x00FF00FF00FF00FF_00FF00FF00FF00FF_00FF00FF00FF00FF_00FF00FF00FF00FF;
    uint256 private constant PAIRS = 0x0000FFFF0000FFFF_0000FFFF0000FFFF_0000FFFF0000FFFF_0000FFFF0000FFFF;
    uint256 private constant HALVES = 0x00000000FFFFFFFF_00000000FFFFFFFF_00000000FFFFFFFF_00000000FFFFFFFF;
    // slither-disable-end too-many-digits

    /// @notice Add words: `left` becomes the sum of `left` and `right`, word by word.
    /// @param left A whole number of 32 bytes; `right` has as many.
    /// @param modulus From 2 to 2^64.
    /// @return canonical Whether all words were below the modulus; if not, `left` is not the sum.
    function addTo(bytes memory left, bytes memory right, uint256 modulus) internal pure returns (bool canonical) {
        assert(left.length == right.length && left.length % 32 == 0);
        if (modulus <= HIGHEST_IN_LANES) return _addBelow(left, right, modulus);
        if (modulus < TWO_64) return _addSlowly(left, right, modulus);
        _addWrapping(left, right);
        return true;
    }

    /// @notice Whether all words are below the modulus.
    /// @param words A whole number of 32 bytes; overwritten by nothing but themselves.
    function areBelow(bytes memory words, uint256 modulus) internal pure returns (bool) {
        return addTo(words, new bytes(words.length), modulus);
    }

    /// @notice Add four lanes one after another, modulo anything up to 2^64.
    /// @return sum Four residues; meaningless unless `canonical`.
    /// @return canonical Whether all eight lanes were below the modulus.
    function addEach(uint256 a, uint256 b, uint256 modulus) internal pure returns (uint256 sum, bool canonical) {
        canonical = true;
        for (uint256 shift = 0; shift < 256; shift += 64) {
            uint256 left = (a >> shift) & (TWO_64 - 1);
            uint256 right = (b >> shift) & (TWO_64 - 1);
            canonical = canonical && left < modulus && right < modulus;
            sum |= addmod(left, right, modulus) << shift;
        }
    }

    /// @notice Reverse the bytes of each lane.
    function reversed(uint256 lanes) internal pure returns (uint256) {
        lanes = ((lanes >> 8) & BYTES) | ((lanes & BYTES) << 8);
        lanes = ((lanes >> 16) & PAIRS) | ((lanes & PAIRS) << 16);
        return ((lanes >> 32) & HALVES) | ((lanes & HALVES) << 32);
    }

    function _addSlowly(bytes memory left, bytes memory right, uint256 modulus) private pure returns (bool canonical) {
        canonical = true;
        for (uint256 offset = 32; offset <= left.length; offset += 32) {
            uint256 a;
            uint256 b;
            // slither-disable-next-line assembly: 32 bytes out of bytes, and back
            assembly ("memory-safe") {
                a := mload(add(left, offset))
                b := mload(add(right, offset))
            }
            (uint256 sum, bool below) = addEach(reversed(a), reversed(b), modulus);
            canonical = canonical && below;
            sum = reversed(sum);
            assembly ("memory-safe") {
                mstore(add(left, offset), sum)
            }
        }
    }

    // From here on `reversed` stands written out: called, it would be half of what a proof costs. The masks go through a
    // zero that the compiler does not know for one, else it copies them from the code each time that they are used.

    function _addBelow(bytes memory left, bytes memory right, uint256 modulus) private pure returns (bool) {
        uint256 beyond = 0;
        // What lifts a lane's top bit exactly when it is not below the modulus.
        uint256 gap = (HIGHEST_IN_LANES - modulus) * ONES;
        // slither-disable-next-line assembly: for the gas of a proof
        assembly ("memory-safe") {
            let none := shr(255, calldatasize())
            let byteMask := or(BYTES, none)
            let pairMask := or(PAIRS, none)
            let halfMask := or(HALVES, none)
            let apart := sub(right, left)
            let end := add(add(left, 32), mload(left))
            for { let here := add(left, 32) } lt(here, end) { here := add(here, 32) } {
                let a := mload(here)
                a := or(and(shr(8, a), byteMask), shl(8, and(a, byteMask)))
                a := or(and(shr(16, a), pairMask), shl(16, and(a, pairMask)))
                a := or(and(shr(32, a), halfMask), shl(32, and(a, halfMask)))
                let b := mload(add(here, apart))
                b := or(and(shr(8, b), byteMask), shl(8, and(b, byteMask)))
                b := or(and(shr(16, b), pairMask), shl(16, and(b, pairMask)))
                b := or(and(shr(32, b), halfMask), shl(32, and(b, halfMask)))
                // Without its top bit a lane has room for the gap; with it, it is beyond anyway.
                beyond := or(beyond, or(or(a, b), or(add(and(a, RESTS), gap), add(and(b, RESTS), gap))))
                a := add(a, b)
                a := sub(a, mul(shr(63, and(add(a, gap), TOPS)), modulus))
                a := or(and(shr(8, a), byteMask), shl(8, and(a, byteMask)))
                a := or(and(shr(16, a), pairMask), shl(16, and(a, pairMask)))
                a := or(and(shr(32, a), halfMask), shl(32, and(a, halfMask)))
                mstore(here, a)
            }
        }
        return beyond & TOPS == 0;
    }

    function _addWrapping(bytes memory left, bytes memory right) private pure {
        // slither-disable-next-line assembly: for the gas of a proof
        assembly ("memory-safe") {
            let none := shr(255, calldatasize())
            let byteMask := or(BYTES, none)
            let pairMask := or(PAIRS, none)
            let halfMask := or(HALVES, none)
            let apart := sub(right, left)
            let end := add(add(left, 32), mload(left))
            for { let here := add(left, 32) } lt(here, end) { here := add(here, 32) } {
                let a := mload(here)
                a := or(and(shr(8, a), byteMask), shl(8, and(a, byteMask)))
                a := or(and(shr(16, a), pairMask), shl(16, and(a, pairMask)))
                a := or(and(shr(32, a), halfMask), shl(32, and(a, halfMask)))
                let b := mload(add(here, apart))
                b := or(and(shr(8, b), byteMask), shl(8, and(b, byteMask)))
                b := or(and(shr(16, b), pairMask), shl(16, and(b, pairMask)))
                b := or(and(shr(32, b), halfMask), shl(32, and(b, halfMask)))
                a := xor(add(and(a, RESTS), and(b, RESTS)), and(xor(a, b), TOPS))
                a := or(and(shr(8, a), byteMask), shl(8, and(a, byteMask)))
                a := or(and(shr(16, a), pairMask), shl(16, and(a, pairMask)))
                a := or(and(shr(32, a), halfMask), shl(32, and(a, halfMask)))
                mstore(here, a)
            }
        }
    }
}
