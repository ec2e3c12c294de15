// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title Vault of bonds
/// @notice Whoever answers for something in a programme bonds the programme's token here: the coordinator, and under
/// shares each seat. A bond leaves only after it has thawed, and nothing that it answers for can still be challenged
/// then. Until that moment it can be slashed, thawing or not.
/// @dev Apart from the settlement, so that no claim can touch a bond. Slashing, locking and paying move no tokens: they
/// write credits, which anyone can have sent to their owner. A token that refuses a transfer can hold up nobody else.
interface IStakeVault {
    /// @notice What an account has in a programme.
    /// @param bonded Counts as its bond.
    /// @param thawing On its way out; no bond any more, and slashed with it all the same.
    /// @param thawsAt Unix time from which what thaws can be withdrawn.
    struct Stake {
        uint128 bonded;
        uint128 thawing;
        uint64 thawsAt;
    }

    /// @notice Only the settlement may do this.
    error StakeVaultUnauthorized(address caller);

    /// @notice No such programme.
    error StakeVaultUnknownProgramme(bytes32 programme);

    /// @notice The token did not move exactly the amount that was asked.
    error StakeVaultUnexpectedTransfer(uint256 expected, uint256 received);

    /// @notice There is nothing to bond, to thaw, to withdraw or to collect.
    error StakeVaultNothing();

    /// @notice The bond is smaller than this.
    error StakeVaultInsufficient(uint256 bonded, uint256 wanted);

    /// @notice It has not thawed yet.
    error StakeVaultThawing(uint64 thawsAt);

    /// @notice A bond grew.
    event Bonded(bytes32 indexed programme, address indexed account, uint256 amount);

    /// @notice Part of a bond began to thaw; all that thaws can be withdrawn from `thawsAt` on.
    event Thawing(bytes32 indexed programme, address indexed account, uint256 amount, uint64 thawsAt);

    /// @notice What had thawed left.
    event Withdrawn(bytes32 indexed programme, address indexed account, uint256 amount);

    /// @notice An account lost its whole stake: `rewarded` to whoever proved it, the rest burned.
    event Slashed(
        bytes32 indexed programme, address indexed account, address indexed to, uint256 rewarded, uint256 burned
    );

    /// @notice A demander's bond was taken.
    event Locked(bytes32 indexed programme, address indexed from, uint256 amount);

    /// @notice A demander's bond went to the coordinator that answered, or back.
    event Released(bytes32 indexed programme, address indexed to, uint256 amount);

    /// @notice A credit was sent to its owner.
    event Collected(address indexed token, address indexed account, uint256 amount);

    /// @notice Move `amount` of the programme's token from the caller, who approved it, into its bond.
    function bond(bytes32 programme, uint256 amount) external;

    /// @notice Let `amount` of the caller's bond thaw. What thaws already begins again with it.
    function thaw(bytes32 programme, uint256 amount) external;

    /// @notice Send the caller what has thawed.
    function withdraw(bytes32 programme) external;

    /// @notice Send `account` what it was credited in `token`. Anyone may; for the burn address this burns it.
    function collect(address token, address account) external;

    /// @notice Take the whole stake of `account`, thawing or not. Settlement only.
    /// @param to Who is credited half of it; zero for nobody. What is not credited to it is burned.
    function slash(bytes32 programme, address account, address to) external;

    /// @notice Take `amount` of the programme's token from `from`, who approved it, and hold it. Settlement only.
    function lock(bytes32 programme, address from, uint256 amount) external;

    /// @notice Credit `to` with `amount` of what the programme holds locked. Settlement only.
    function release(bytes32 programme, address to, uint256 amount) external;

    /// @notice The bond of `account` in a programme, without what is thawing.
    function bondOf(bytes32 programme, address account) external view returns (uint256);

    /// @notice All that `account` has in a programme.
    function stakeOf(bytes32 programme, address account) external view returns (Stake memory);

    /// @notice What `account` can have sent to it.
    function creditOf(address token, address account) external view returns (uint256);

    /// @notice What demanders have locked in a programme.
    function lockedIn(bytes32 programme) external view returns (uint256);

    /// @notice The settlement that this vault serves, and no other.
    function settlement() external view returns (address);

    /// @notice Where burned tokens go; nobody has its key.
    // slither-disable-next-line naming-convention: the getter of a constant
    function BURNED() external view returns (address);
}
