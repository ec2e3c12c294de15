// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ISumVerifier} from "../../src/interfaces/ISumVerifier.sol";

/// @notice Knows the truth without a proof: a commit is false exactly if `sum` is another root than `sumTrees`.
/// @dev For the tests of who pays and when. What a proof must show is tested on the verifier itself.
contract StubVerifier is ISumVerifier {
    bytes32 public constant USELESS = keccak256("a proof of nothing");

    function verdict(Context calldata context, Kind, bytes calldata proof) external pure returns (bool) {
        return context.commit.sum != context.commit.sumTrees && keccak256(proof) != USELESS;
    }

    function exists(Context calldata context, Node calldata node, bytes calldata arithmetic)
        external
        pure
        returns (bool)
    {
        return sha256(arithmetic) == context.arithmetic && node.index < context.commit.slots;
    }

    function opens(Context calldata context, Node calldata node, bytes calldata opening) external pure returns (bool) {
        return keccak256(opening) == keccak256(abi.encode(context.commit.cohort, node));
    }
}
