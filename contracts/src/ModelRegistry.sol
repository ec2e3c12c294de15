// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IModelRegistry} from "./interfaces/IModelRegistry.sol";
import {ISettlement} from "./interfaces/ISettlement.sol";

/// @title ModelRegistry
/// @dev Each version's commit is the parent of the next one's, so a registered chain is the settlement's own.
contract ModelRegistry is IModelRegistry {
    /// @inheritdoc IModelRegistry
    address public immutable settlement;

    // slither-disable-next-line uninitialized-state: `register` grows it through a reference
    mapping(bytes32 programme => Version[] versions) private _versions;

    // slither-disable-next-line missing-zero-check: a registry of no settlement registers nothing
    constructor(address settlement_) {
        settlement = settlement_;
    }

    /// @inheritdoc IModelRegistry
    function register(ISettlement.Commit calldata commitment) external returns (uint256 version) {
        bytes32 shown = _requireSettled(commitment);
        Version[] storage chain = _versions[commitment.programme];
        Version memory newest = _newest(chain);
        if (commitment.parent != newest.commit) revert ModelRegistryWrongParent(newest.commit, commitment.parent);

        chain.push(Version(commitment.round, shown, newest.model, commitment.model, commitment.plan));
        version = chain.length;
        emit Registered(
            commitment.programme, version, commitment.round, newest.model, commitment.model, commitment.plan
        );
    }

    /// @inheritdoc IModelRegistry
    function versions(bytes32 programme) external view returns (uint256) {
        return _versions[programme].length;
    }

    /// @inheritdoc IModelRegistry
    function versionOf(bytes32 programme, uint256 version) external view returns (Version memory found) {
        Version[] storage chain = _versions[programme];
        if (version > 0 && version <= chain.length) found = chain[version - 1];
    }

    function _requireSettled(ISettlement.Commit calldata commitment) private view returns (bytes32 shown) {
        ISettlement from = ISettlement(settlement);
        if (!from.isSettled(commitment.programme, commitment.round)) revert ModelRegistryNotSettled(commitment.round);
        bytes32 committed = from.roundOf(commitment.programme, commitment.round).commit;
        shown = keccak256(abi.encode(commitment));
        if (shown != committed) revert ModelRegistryWrongCommit(committed, shown);
    }

    function _newest(Version[] storage chain) private view returns (Version memory newest) {
        if (chain.length > 0) newest = chain[chain.length - 1];
    }
}
