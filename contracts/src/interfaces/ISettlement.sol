// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title Settlement of what participants earned
/// @notice A programme is an escrow in one ERC-20 token with one coordinator. The coordinator commits a Merkle root of
/// cumulative amounts; each payee is paid, on anyone's request, what the newest root says it earned in all, less what
/// it was paid before.
/// @dev What this contract does not judge: whether the amounts are right. The coordinator is trusted to name the payees
/// and to divide the committed total between them; it cannot commit more than was funded, lower the total, take back
/// what was committed, or pay anyone from another programme's escrow. There is no owner, no pause and no upgrade.
interface ISettlement {
    /// @notice What a programme is; its identifier is the hash of these terms, so that nobody can open it otherwise.
    /// @param token ERC-20 token of the escrow. Tokens that take a fee on transfer are refused; tokens whose balances
    /// change without a transfer must not be used.
    /// @param coordinator The only address that may commit.
    /// @param funder Who gets back, after the end, what was never committed.
    /// @param end Unix time. Before it (`t < end`) the programme can be funded and committed to; from it on (`t >= end`)
    /// it can be reclaimed. Claims have no end.
    /// @param label Tells programmes of otherwise equal terms apart.
    struct Terms {
        address token;
        address coordinator;
        address funder;
        uint64 end;
        bytes32 label;
    }

    /// @notice The state of a programme.
    /// @param round Round of the newest commit; zero when there is none.
    /// @param funded Tokens the escrow has received, less what was reclaimed; below 2^128.
    /// @param root Merkle root of the newest commit; zero when there is none.
    /// @param committed Cumulative total of the newest commit.
    /// @param paid Tokens paid to payees; never above `committed`, which is never above `funded`.
    struct State {
        uint64 round;
        uint128 funded;
        bytes32 root;
        uint128 committed;
        uint128 paid;
    }

    /// @notice The caller may not do this in this programme.
    error SettlementUnauthorized(address caller);

    /// @notice A programme needs a coordinator, a funder, a token that is a contract, and an end in the future.
    error SettlementInvalidTerms();

    /// @notice A programme with these terms is already open.
    error SettlementAlreadyOpen(bytes32 programme);

    /// @notice No such programme.
    error SettlementUnknownProgramme(bytes32 programme);

    /// @notice The programme has ended: nothing more can be funded or committed.
    error SettlementEnded(uint64 end);

    /// @notice The programme has not ended: nothing can be reclaimed yet.
    error SettlementNotEnded(uint64 end);

    /// @notice The token did not move exactly the amount that was asked.
    error SettlementUnexpectedTransfer(uint256 expected, uint256 received);

    /// @notice The commit follows another root than the newest.
    error SettlementWrongParent(bytes32 newest, bytes32 parent);

    /// @notice Rounds must rise.
    error SettlementWrongRound(uint64 newest, uint64 round);

    /// @notice A root of zero means "no root" and cannot be committed.
    error SettlementEmptyRoot();

    /// @notice A cumulative total cannot fall.
    error SettlementTotalFell(uint256 committed, uint256 total);

    /// @notice The escrow does not cover this total.
    error SettlementUnderfunded(uint256 funded, uint256 total);

    /// @notice The newest root does not contain this payout.
    error SettlementInvalidProof();

    /// @notice Nothing is due: it was paid, or reclaimed, before.
    error SettlementNothingDue(uint256 settled);

    /// @notice The root promises more than its commit's total.
    error SettlementOverAllocated(uint256 committed, uint256 wanted);

    /// @notice A programme was opened.
    event Opened(bytes32 indexed programme, Terms terms);

    /// @notice The escrow of a programme grew.
    event Funded(bytes32 indexed programme, address indexed from, uint256 amount);

    /// @notice The coordinator committed a round.
    event Committed(bytes32 indexed programme, uint64 indexed round, bytes32 root, uint256 total);

    /// @notice A payee was paid.
    /// @param amount Paid now.
    /// @param cumulative Paid in all.
    event Claimed(bytes32 indexed programme, address indexed payee, uint256 amount, uint256 cumulative);

    /// @notice What was never committed went back to the funder.
    event Reclaimed(bytes32 indexed programme, uint256 amount);

    /// @notice Open a programme. Anyone may; the terms are its identifier.
    function open(Terms calldata terms) external returns (bytes32 programme);

    /// @notice Move `amount` of the programme's token from the caller, who approved it, into the escrow.
    function fund(bytes32 programme, uint256 amount) external;

    /// @notice Commit a round: replace the root and raise the total. Coordinator only, before the end.
    /// @param parent The root this one follows; zero for the first.
    /// @param total What all leaves under `root` amount to, from the programme's beginning.
    function commit(bytes32 programme, uint64 round, bytes32 parent, bytes32 root, uint256 total) external;

    /// @notice Pay `payee` what it earned and was not paid yet. Anyone may ask; only the payee is paid.
    /// @param cumulative What the payee earned from the programme's beginning, as its leaf says.
    /// @param salt Its leaf's 32 secret bytes, without which amounts could be guessed from the root.
    /// @param proof Siblings from the leaf to the newest root. It is good until the next commit.
    function claim(bytes32 programme, address payee, uint256 cumulative, bytes32 salt, bytes32[] calldata proof) external;

    /// @notice Send what was never committed back to the funder. Funder only, from the end on.
    /// @dev What was committed stays, for its payees, for ever.
    function reclaim(bytes32 programme) external;

    /// @notice The identifier of a programme with these terms.
    function programmeOf(Terms calldata terms) external pure returns (bytes32);

    /// @notice The terms of an open programme; all zero if there is none.
    function termsOf(bytes32 programme) external view returns (Terms memory);

    /// @notice The state of a programme; all zero if there is none.
    function stateOf(bytes32 programme) external view returns (State memory);

    /// @notice What `payee` was paid in this programme.
    function claimedBy(bytes32 programme, address payee) external view returns (uint256);

    /// @notice The leaf of a payout, bound to this chain, this contract, the programme and the payee.
    function leafOf(bytes32 programme, address payee, uint256 cumulative, bytes32 salt) external view returns (bytes32);
}
