// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ISettlement} from "./ISettlement.sol";

/// @title Registry of settled models
/// @notice An append-only chain of versions for each programme: which model came of which plan, and from which model.
/// @dev Anyone may register; only what the settlement holds as matured and not void is taken, each round in its turn, so
/// that nobody can leave one out. Such a round can never become void, so a version is never taken back.
interface IModelRegistry {
    /// @notice A version of a programme's model.
    /// @param round Its round.
    /// @param commit Hash of the round's commit, which binds everything else.
    /// @param parent Digest of the model of the version before; zero for the first.
    /// @param model Digest of the model.
    /// @param plan Digest of the plan.
    struct Version {
        uint64 round;
        bytes32 commit;
        bytes32 parent;
        bytes32 model;
        bytes32 plan;
    }

    /// @notice The round has not matured, is void, or is none.
    error ModelRegistryNotSettled(uint64 round);

    /// @notice This is not what was committed for its round.
    error ModelRegistryWrongCommit(bytes32 committed, bytes32 shown);

    /// @notice The commit follows another than that of the newest version: register the rounds in order.
    error ModelRegistryWrongParent(bytes32 newest, bytes32 parent);

    /// @notice A version was registered; the first is 1.
    event Registered(
        bytes32 indexed programme,
        uint256 indexed version,
        uint64 indexed round,
        bytes32 parent,
        bytes32 model,
        bytes32 plan
    );

    /// @notice Register the model of a settled round as the programme's next version, and return its number.
    function register(ISettlement.Commit calldata commitment) external returns (uint256 version);

    /// @notice How many versions a programme has; the newest has this number.
    function versions(bytes32 programme) external view returns (uint256);

    /// @notice A version; all zero if there is none.
    function versionOf(bytes32 programme, uint256 version) external view returns (Version memory);

    /// @notice The settlement whose rounds are registered here.
    function settlement() external view returns (address);
}
