// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @notice Payout leaves and their sorted tree, as `privacy/settlement/payouts.py` makes them: OpenZeppelin's `merkle-tree`.
library Payouts {
    bytes32 internal constant LEAF = keccak256("veilsum/payout-leaf/2");
    bytes32 internal constant SCORE = keccak256("veilsum/score/1");

    function entry(uint64 round, uint128 score, uint128 earned, bytes32 salt) internal pure returns (bytes32) {
        return keccak256(abi.encode(SCORE, round, score, earned, salt));
    }

    function leaf(address contract_, bytes32 programme, address payee, uint256 cumulative, bytes32 salt, bytes32 entry_)
        internal
        view
        returns (bytes32)
    {
        bytes memory body = abi.encode(LEAF, block.chainid, contract_, programme, payee, cumulative, salt, entry_);
        return keccak256(bytes.concat(keccak256(body)));
    }

    /// @notice Nodes of the complete tree over sorted `leaves`; node i has the children 2i + 1 and 2i + 2.
    function tree(bytes32[] memory leaves) internal pure returns (bytes32[] memory nodes) {
        bytes32[] memory sorted = _descending(leaves);
        uint256 inner = leaves.length - 1;
        nodes = new bytes32[](2 * leaves.length - 1);
        for (uint256 i = 0; i < sorted.length; i++) nodes[inner + i] = sorted[i];
        for (uint256 i = inner; i > 0; i--) nodes[i - 1] = pair(nodes[2 * i - 1], nodes[2 * i]);
    }

    function proof(bytes32[] memory nodes, bytes32 leaf_) internal pure returns (bytes32[] memory siblings) {
        uint256 place = nodes.length / 2;
        while (nodes[place] != leaf_) place++;
        uint256 depth = 0;
        for (uint256 i = place; i > 0; i = (i - 1) / 2) depth++;
        siblings = new bytes32[](depth);
        for (uint256 step = 0; place > 0; step++) {
            siblings[step] = nodes[place % 2 == 0 ? place - 1 : place + 1];
            place = (place - 1) / 2;
        }
    }

    function pair(bytes32 a, bytes32 b) internal pure returns (bytes32) {
        return a < b ? keccak256(abi.encode(a, b)) : keccak256(abi.encode(b, a));
    }

    function _descending(bytes32[] memory leaves) private pure returns (bytes32[] memory sorted) {
        sorted = new bytes32[](leaves.length);
        for (uint256 i = 0; i < leaves.length; i++) {
            uint256 place = i;
            for (; place > 0 && sorted[place - 1] < leaves[i]; place--) sorted[place] = sorted[place - 1];
            sorted[place] = leaves[i];
        }
    }
}
