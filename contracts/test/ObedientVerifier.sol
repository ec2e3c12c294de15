// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ISumVerifier} from "../src/interfaces/ISumVerifier.sol";

/// @title A verifier that does as it is told, so that tests choose its verdicts
contract ObedientVerifier is ISumVerifier {
    /// @notice Guilty if the proof is "guilty"; what a proof must be else is another contract's business.
    function verdict(Context calldata, Kind, bytes calldata proof) external pure returns (bool) {
        return keccak256(proof) == keccak256("guilty");
    }

    /// @notice Every node of a level below 32 exists, if its arithmetic is the one whose digest the terms name.
    function exists(Context calldata context, Node calldata node, bytes calldata arithmetic)
        external
        pure
        returns (bool)
    {
        return node.level < 32 && sha256(arithmetic) == context.arithmetic;
    }

    /// @notice The opening of every node has one step, the hash of its commit.
    function opens(Context calldata context, Node calldata, bytes calldata opening) external pure returns (bool) {
        bytes32[] memory steps = new bytes32[](1);
        steps[0] = keccak256(abi.encode(context.commit));
        return keccak256(opening) == keccak256(abi.encode(Opening(0, steps, "")));
    }
}
