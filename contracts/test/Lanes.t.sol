// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Lanes} from "../src/Lanes.sol";
import {Test, vm} from "./base/Test.sol";

/// @notice Four words are added as each would be on its own: proved for all inputs by halmos, fuzzed by forge.
/// @dev `check_` are halmos's; forge runs the rest.
contract LanesProof is Test {
    uint256 private constant PRIME = 1_152_921_504_606_830_593;
    bytes32 private constant WITHOUT_TOPS = 0xFFFFFFFFFFFFFF7F_FFFFFFFFFFFFFF7F_FFFFFFFFFFFFFF7F_FFFFFFFFFFFFFF7F;

    /// @notice Modulo 2^64, each word wraps in its own 64 bits.
    function check_wrapping_addition_is_word_by_word(bytes32 a, bytes32 b) public pure {
        agree(a, b, 1 << 64);
    }

    /// @notice Modulo a prime of CKKS: the same sum, and the same answer on whether all words were canonical.
    function check_addition_below_a_prime_is_word_by_word(bytes32 a, bytes32 b) public pure {
        agree(a, b, PRIME);
    }

    /// @notice Modulo anything from 2 to 2^63: a word that is not below the modulus is seen, wherever it is, and no other.
    function check_words_beyond_any_modulus_are_seen(bytes32 a, bytes32 b, uint64 gap) public pure {
        uint256 modulus = modulusOf(gap);
        (, uint256 wrong) = reference_(mirrored(uint256(a)), mirrored(uint256(b)), modulus);
        bool canonical = Lanes.addTo(abi.encodePacked(a), abi.encodePacked(b), modulus);
        assert(canonical == (wrong == 0));
    }

    /// @notice Modulo anything from 2 to 2^63: the first words' sum. Lane by lane, since a lane rests on those before it.
    function check_addition_below_any_modulus_first(bytes32 a, bytes32 b, uint64 gap) public pure {
        agreeIn(3, a, b, modulusOf(gap));
    }

    /// @notice The second words' sum.
    function check_addition_below_any_modulus_second(bytes32 a, bytes32 b, uint64 gap) public pure {
        agreeIn(2, a, b, modulusOf(gap));
    }

    /// @notice The third words' sum.
    function check_addition_below_any_modulus_third(bytes32 a, bytes32 b, uint64 gap) public pure {
        agreeIn(1, a, b, modulusOf(gap));
    }

    /// @notice The last words' sum.
    function check_addition_below_any_modulus_last(bytes32 a, bytes32 b, uint64 gap) public pure {
        agreeIn(0, a, b, modulusOf(gap));
    }

    /// @notice Each byte goes where it belongs.
    function check_reversal_is_byte_by_byte(uint256 lanes) public pure {
        assert(Lanes.reversed(lanes) == mirrored(lanes));
    }

    function testFuzz_every_modulus_adds_word_by_word(uint256 a, uint256 b, uint256 modulus, uint256 kind) public pure {
        uint256[4] memory highest = [uint256(1 << 64), 1 << 63, 1 << 10, 1 << 64];
        modulus = within(modulus, kind % 4 == 3 ? 1 << 63 : 2, highest[kind % 4]);
        if (kind % 16 == 0) modulus = 1 << 64;
        agree(bytes32(mirrored(edged(a, modulus))), bytes32(mirrored(edged(b, modulus))), modulus);
    }

    function test_many_words_are_added_each_with_its_own() public pure {
        bytes memory left = abi.encodePacked(uint256(1), uint256(2), uint256(3));
        bytes memory right = abi.encodePacked(uint256(4), uint256(5), uint256(6));

        vm.assertTrue(Lanes.addTo(left, right, 1 << 64), "canonical");

        vm.assertEq(left, abi.encodePacked(uint256(5), uint256(7), uint256(9)), "in order");
    }

    /// @notice One word that is not canonical, first or last, in either summand, is found.
    function test_a_word_above_the_modulus_is_found_wherever_it_is() public pure {
        uint256[2] memory moduli = [PRIME, (1 << 63) + 29];
        for (uint256 m = 0; m < 2; m++) {
            bytes8 word = bytes8(uint64(mirrored(moduli[m])));
            for (uint256 place = 0; place < 8; place++) {
                bytes memory bad = new bytes(64);
                for (uint256 i = 0; i < 8; i++) bad[8 * place + i] = word[i];
                vm.assertTrue(!Lanes.addTo(copied(bad), new bytes(64), moduli[m]), "on the left");
                vm.assertTrue(!Lanes.addTo(new bytes(64), copied(bad), moduli[m]), "on the right");
                vm.assertTrue(!Lanes.areBelow(copied(bad), moduli[m]), "alone");
                vm.assertTrue(Lanes.areBelow(copied(bad), moduli[m] + 1), "below the next");
            }
        }
    }

    /// @notice What a residue is compared with does not change it.
    function test_words_that_are_looked_at_stay_as_they_were() public pure {
        bytes memory words = abi.encodePacked(mirrored(7), mirrored(PRIME - 1));
        bytes memory before = copied(words);
        vm.assertTrue(Lanes.areBelow(words, PRIME), "canonical");
        vm.assertEq(words, before, "unchanged");
    }

    function copied(bytes memory from) private pure returns (bytes memory) {
        return bytes.concat(from);
    }

    /// @dev Without a branch: halmos then has one path, and asks its solver once.
    function agree(bytes32 a, bytes32 b, uint256 modulus) private pure {
        bytes memory left = abi.encodePacked(a);
        (uint256 sum, uint256 wrong) = reference_(mirrored(uint256(a)), mirrored(uint256(b)), modulus);
        bool canonical = Lanes.addTo(left, abi.encodePacked(b), modulus);
        uint256 found = uint256(bytes32(left)) ^ mirrored(sum);
        bool agrees;
        assembly ("memory-safe") {
            // Wrong words are seen; where there are none, the sums agree.
            agrees := iszero(or(eq(canonical, gt(wrong, 0)), mul(found, iszero(wrong))))
        }
        assert(agrees);
    }

    /// @dev Of words below the modulus, so below 2^63: what has a top bit is none, and is left out.
    function agreeIn(uint256 place, bytes32 a, bytes32 b, uint256 modulus) private pure {
        (a, b) = (a & WITHOUT_TOPS, b & WITHOUT_TOPS);
        bytes memory left = abi.encodePacked(a);
        (uint256 sum, uint256 wrong) = reference_(mirrored(uint256(a)), mirrored(uint256(b)), modulus);
        if (wrong != 0) return;
        Lanes.addTo(left, abi.encodePacked(b), modulus);
        assert(uint64(mirrored(uint256(bytes32(left))) >> (64 * place)) == uint64(sum >> (64 * place)));
    }

    /// @dev Every modulus from 1 to 2^63, said by how far it is from the highest, as the lanes need it: the solver then
    /// sees at once that no lane reaches into the next.
    function modulusOf(uint64 gap) private pure returns (uint256 modulus) {
        assembly ("memory-safe") {
            modulus := sub(shl(63, 1), and(gap, 0x7FFFFFFFFFFFFFFF))
        }
    }

    /// @return sum Lane by lane.
    /// @return wrong One if a lane is not below the modulus, else zero.
    function reference_(uint256 a, uint256 b, uint256 modulus) private pure returns (uint256 sum, uint256 wrong) {
        for (uint256 lane = 0; lane < 4; lane++) {
            uint256 left = uint256(uint64(a >> (64 * lane)));
            uint256 right = uint256(uint64(b >> (64 * lane)));
            uint256 total;
            assembly ("memory-safe") {
                total := add(left, right)
                wrong := or(wrong, iszero(and(lt(left, modulus), lt(right, modulus))))
                total := sub(total, and(modulus, sub(0, iszero(lt(total, modulus)))))
            }
            sum |= uint256(uint64(total)) << (64 * lane);
        }
    }

    function mirrored(uint256 lanes) private pure returns (uint256 turned) {
        for (uint256 lane = 0; lane < 4; lane++) {
            uint64 word = uint64(lanes >> (64 * lane));
            uint256 other = uint256(uint8(word >> 56)) | uint256(uint8(word >> 48)) << 8
                | uint256(uint8(word >> 40)) << 16 | uint256(uint8(word >> 32)) << 24 | uint256(uint8(word >> 24)) << 32
                | uint256(uint8(word >> 16)) << 40 | uint256(uint8(word >> 8)) << 48 | uint256(uint8(word)) << 56;
            turned |= other << (64 * lane);
        }
    }

    /// @dev Mostly canonical lanes, with the edges 0, 1, modulus - 1 and, in one lane of six, modulus.
    function edged(uint256 seed, uint256 modulus) private pure returns (uint256 lanes) {
        for (uint256 lane = 0; lane < 4; lane++) {
            uint256 drawn = uint256(keccak256(abi.encode(seed, lane)));
            uint256[4] memory edges = [0, 1, modulus - 1, modulus];
            uint256 word = drawn % 3 == 0 ? edges[(drawn >> 8) % (drawn % 6 == 0 ? 4 : 3)] : (drawn >> 16) % modulus;
            lanes |= uint256(uint64(word)) << (64 * lane);
        }
    }
}
