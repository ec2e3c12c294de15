// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @notice The trees of RFC 6962 as their text defines them: by recursion, with every node in memory.
/// @dev Written from the definition and from nothing of `src`, so that both can disagree.
library Trees {
    /// @notice Root over `nodes`, at least one.
    function root(bytes32[] memory nodes) internal pure returns (bytes32) {
        return _root(nodes, 0, nodes.length);
    }

    /// @notice Siblings of node `index`, lowest first.
    function path(bytes32[] memory nodes, uint256 index) internal pure returns (bytes32[] memory) {
        return _path(nodes, index, 0, nodes.length);
    }

    /// @notice The largest power of two below `count`, which is above one.
    function split(uint256 count) internal pure returns (uint256 left) {
        left = 1;
        while (left * 2 < count) left *= 2;
    }

    function joined(bytes32 left, bytes32 right) internal pure returns (bytes32) {
        return sha256(abi.encodePacked(uint8(1), left, right));
    }

    function _root(bytes32[] memory nodes, uint256 first, uint256 count) private pure returns (bytes32) {
        if (count == 1) return nodes[first];
        uint256 left = split(count);
        return joined(_root(nodes, first, left), _root(nodes, first + left, count - left));
    }

    function _path(bytes32[] memory nodes, uint256 index, uint256 first, uint256 count)
        private
        pure
        returns (bytes32[] memory)
    {
        if (count == 1) return new bytes32[](0);
        uint256 left = split(count);
        if (index < left) return _with(_path(nodes, index, first, left), _root(nodes, first + left, count - left));
        return _with(_path(nodes, index - left, first + left, count - left), _root(nodes, first, left));
    }

    function _with(bytes32[] memory list, bytes32 last) private pure returns (bytes32[] memory longer) {
        longer = new bytes32[](list.length + 1);
        for (uint256 i = 0; i < list.length; i++) longer[i] = list[i];
        longer[list.length] = last;
    }
}

/// @notice Words of a leaf: 64-bit residues, little-endian, as they stand in a proof.
library Words {
    /// @notice `count` residues below `modulus`, drawn from `seed`; now and then the edges zero and modulus - 1.
    function draw(bytes32 seed, uint256 count, uint256 modulus) internal pure returns (uint256[] memory words) {
        words = new uint256[](count);
        for (uint256 i = 0; i < count; i++) {
            uint256 drawn = uint256(keccak256(abi.encode(seed, i)));
            uint256 edge = drawn % 8;
            words[i] = edge == 0 ? 0 : edge == 1 ? modulus - 1 : (drawn >> 8) % modulus;
        }
    }

    function sum(uint256[] memory left, uint256[] memory right, uint256 modulus)
        internal
        pure
        returns (uint256[] memory total)
    {
        total = new uint256[](left.length);
        for (uint256 i = 0; i < left.length; i++) total[i] = (left[i] + right[i]) % modulus;
    }

    function pack(uint256[] memory words) internal pure returns (bytes memory packed) {
        packed = new bytes(8 * words.length);
        for (uint256 i = 0; i < words.length; i++) {
            for (uint256 byte_ = 0; byte_ < 8; byte_++) packed[8 * i + byte_] = bytes1(uint8(words[i] >> (8 * byte_)));
        }
    }
}

/// @notice Digests of a contribution and of a sum tree, over packed words.
library Digests {
    function leaf(uint256 chunk, uint256 leaf_, uint256 modulusIndex, bytes memory words)
        internal
        pure
        returns (bytes32)
    {
        return sha256(abi.encodePacked(uint8(0), uint32(chunk), uint32(leaf_), uint32(modulusIndex), words));
    }

    /// @notice An inner node of a sum tree; `own` is the digest of its words, as of a leaf.
    function sumNode(bytes32 left, bytes32 right, bytes32 own) internal pure returns (bytes32) {
        return sha256(abi.encodePacked(uint8(2), left, right, own));
    }

    function slot(uint256 slotId, bytes32 contribution) internal pure returns (bytes32) {
        return sha256(abi.encodePacked(uint8(4), uint32(slotId), contribution));
    }
}
