// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ISumVerifier} from "../../src/interfaces/ISumVerifier.sol";

/// @notice The one opening of a node under a commit of this cohort, to a `StubVerifier`.
function openingOf(bytes32 cohort, ISumVerifier.Node memory node) pure returns (bytes memory) {
    bytes32[] memory steps = new bytes32[](2);
    steps[0] = cohort;
    steps[1] = keccak256(abi.encode(node));
    return abi.encode(ISumVerifier.Opening(node.index, steps, ""));
}

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
        return keccak256(opening) == keccak256(openingOf(context.commit.cohort, node));
    }
}
