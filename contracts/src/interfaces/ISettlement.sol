// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ISumVerifier} from "./ISumVerifier.sol";

/// @title Settlement of what participants earned
/// @notice A programme is an escrow in one ERC-20 token with one bonded coordinator. Each round the coordinator commits
/// one hash: what was added, what came of it, and a Merkle root of cumulative amounts. For one window anyone can prove
/// the round wrong; after it, each payee is paid, on anyone's request, what the round's root says it earned in all, less
/// what it was paid before.
/// @dev A proof needs one transaction, names its challenger, and costs the coordinator its bond, the round and all later
/// ones, and the programme: a halted programme stays halted. What this contract does not judge: whether scores are
/// fair, and whether the amounts under a root add up to its total; they can never draw more than that total. There is no
/// owner and no upgrade. A guardian can hold up commits, and nothing else.
/// Windows are half-open: a challenge passes while `t < maturesAt`, a claim from `t >= maturesAt` on.
interface ISettlement {
    /// @notice What a programme is; its identifier is the hash of these terms, so that nobody can open it otherwise.
    /// @param token ERC-20 token of the escrow and of the bonds. Tokens that take a fee on transfer are refused; tokens
    /// whose balances change without a transfer must not be used.
    /// @param coordinator The only address that may commit, and whose bond answers for what it commits. It needs a key:
    /// the receipts that it signs are proofs against it, and a contract signs none.
    /// @param funder Who gets back what no standing round committed, from the end or from a halt on.
    /// @param guardian May pause commits; zero for none.
    /// @param judges Whose verdicts count, strictly rising, at most eight; none if empty.
    /// @param judgesQuorum How many of them make a verdict; zero exactly when there are none.
    /// @param end Unix time. Before it (`t < end`) the programme can be funded and committed to; from it on (`t >= end`)
    /// it can be reclaimed. Claims and challenges have no end of their own.
    /// @param window Seconds from a commit to its maturity; more than twice `response`.
    /// @param response Seconds that the coordinator has to answer a demand, and that whoever demanded has, at least,
    /// from the answer to the round's maturity.
    /// @param bond What the coordinator must hold in the vault, not thawing, to commit; above zero.
    /// @param demandBond What a demand costs, paid to the coordinator if it answers; above zero. It should exceed the
    /// gas of an answer.
    /// @param arithmetic SHA-256 of the arithmetic part of the plan: scheme, dimension, moduli.
    /// @param leavesPerChunk Leaves of each chunk of a contribution but the last.
    /// @param lastChunkLeaves Leaves of the last chunk; above zero, and at most `leavesPerChunk`.
    /// @param label Tells programmes of otherwise equal terms apart.
    struct Terms {
        address token;
        address coordinator;
        address funder;
        address guardian;
        address[] judges;
        uint8 judgesQuorum;
        uint64 end;
        uint64 window;
        uint64 response;
        uint128 bond;
        uint128 demandBond;
        bytes32 arithmetic;
        uint32 leavesPerChunk;
        uint32 lastChunkLeaves;
        bytes32 label;
    }

    /// @notice What the coordinator says of one round. Its hash, `keccak256(abi.encode(commit))`, is kept; the rest is
    /// in the event, and whoever disputes the round brings it again.
    /// @param programme The programme it belongs to.
    /// @param round The round's number, below 2^64 - 1; rounds rise strictly, and need not follow one another.
    /// @param parent Hash of the commit before; zero for the first.
    /// @param slots How many contributions were added; above zero.
    /// @param plan Digest of the plan.
    /// @param cohort Root over the contributions' roots, by slot.
    /// @param sumTrees Root over the roots of the trees of partial sums.
    /// @param sum Root of the published sum.
    /// @param model Digest of the model that follows from it.
    /// @param payouts Root over the payouts, cumulative.
    /// @param total What all payouts amount to, from the programme's beginning.
    /// @param budget What this round divides.
    /// @param scores Sum of all scores of this round.
    struct Commit {
        bytes32 programme;
        uint64 round;
        bytes32 parent;
        uint32 slots;
        bytes32 plan;
        bytes32 cohort;
        bytes32 sumTrees;
        bytes32 sum;
        bytes32 model;
        bytes32 payouts;
        uint128 total;
        uint128 budget;
        uint128 scores;
    }

    /// @notice What is kept of a round.
    /// @param commit Hash of its commit; zero if there is no such round.
    /// @param payouts Root over the payouts.
    /// @param total What all payouts amount to, from the programme's beginning.
    /// @param maturesAt Unix time: before it the round can be challenged, from it on claimed from.
    /// @param previous The round before; zero for the first.
    struct Round {
        bytes32 commit;
        bytes32 payouts;
        uint128 total;
        uint64 maturesAt;
        uint64 previous;
    }

    /// @notice The state of a programme.
    /// @param funded Tokens the escrow has received, less what was reclaimed.
    /// @param paid Tokens paid to payees; never above `settled`, which is never above the head's total, which is never
    /// above `funded`.
    /// @param settled The highest total of a matured round that was claimed from.
    /// @param head The newest round that is not void; zero when there is none.
    /// @param voidFrom This round and all later ones are void, and the programme is halted; 2^64 - 1 while it runs.
    struct State {
        uint128 funded;
        uint128 paid;
        uint128 settled;
        uint64 head;
        uint64 voidFrom;
    }

    /// @notice A demand for a node that the coordinator withholds.
    /// @param demander Who gets the reward if there is no answer.
    /// @param deadline Answers pass before it, expiry from it on; zero if there is no such demand.
    /// @param closed Whether it was answered, or has expired.
    struct Demand {
        address demander;
        uint64 deadline;
        bool closed;
    }

    /// @notice The caller may not do this in this programme.
    error SettlementUnauthorized(address caller);

    /// @notice The terms are not those of a programme; see `Terms` for each one's bounds.
    error SettlementInvalidTerms();

    /// @notice A programme with these terms is already open.
    error SettlementAlreadyOpen(bytes32 programme);

    /// @notice No such programme.
    error SettlementUnknownProgramme(bytes32 programme);

    /// @notice The programme has ended: nothing more can be funded or committed.
    error SettlementEnded(uint64 end);

    /// @notice The programme has neither ended nor halted: nothing can be reclaimed yet.
    error SettlementNotEnded(uint64 end);

    /// @notice The programme is halted: nothing more can be funded or committed.
    error SettlementHalted(uint64 voidFrom);

    /// @notice The guardian has paused commits.
    error SettlementPaused();

    /// @notice The token did not move exactly the amount that was asked.
    error SettlementUnexpectedTransfer(uint256 expected, uint256 received);

    /// @notice The commit follows another than the newest.
    error SettlementWrongParent(bytes32 newest, bytes32 parent);

    /// @notice Rounds must rise, and stay below 2^64 - 1.
    error SettlementWrongRound(uint64 newest, uint64 round);

    /// @notice A root of zero means "no root", and a round without slots added nothing: neither can be committed.
    error SettlementEmptyCommit();

    /// @notice A cumulative total cannot fall, nor rise by more than the round's budget.
    error SettlementWrongTotal(uint256 committed, uint256 budget, uint256 total);

    /// @notice The escrow does not cover this total.
    error SettlementUnderfunded(uint256 funded, uint256 total);

    /// @notice The coordinator's bond, less what is thawing, is below the terms.
    error SettlementUnderbonded(uint256 required, uint256 bonded);

    /// @notice No such round in this programme.
    error SettlementUnknownRound(uint64 round);

    /// @notice This is not what was committed for its round.
    error SettlementWrongCommit(bytes32 committed, bytes32 shown);

    /// @notice The round was proved wrong, or follows one that was.
    error SettlementVoid(uint64 round);

    /// @notice The round can still be challenged: nothing can be claimed from it yet.
    error SettlementNotMatured(uint64 maturesAt);

    /// @notice The round has matured: it can be challenged no more.
    error SettlementMatured(uint64 maturesAt);

    /// @notice The round does not contain this payout.
    error SettlementInvalidProof();

    /// @notice Nothing is due: it was paid, or reclaimed, before.
    error SettlementNothingDue(uint256 settled);

    /// @notice The root promises more than its commit's total.
    error SettlementOverAllocated(uint256 settled, uint256 wanted);

    /// @notice A challenge must be sealed in an earlier block than its own.
    error SettlementNotSealed(bytes32 seal);

    /// @notice The proof proves nothing against this round.
    error SettlementNotFraud();

    /// @notice There is no such node that the coordinator could be asked for.
    error SettlementUnknownNode();

    /// @notice This node was demanded before, in this round.
    error SettlementAlreadyDemanded(bytes32 demand);

    /// @notice Too close to maturity for an answer and a challenge to fit before it.
    error SettlementDemandTooLate(uint64 maturesAt);

    /// @notice No such demand is open.
    error SettlementNotDemanded(bytes32 demand);

    /// @notice The time to answer is over.
    error SettlementAnswerTooLate(uint64 deadline);

    /// @notice This is not the node that was demanded, under this commit.
    error SettlementWrongAnswer();

    /// @notice The time to answer is not over.
    error SettlementNotExpired(uint64 deadline);

    /// @notice Too few judges signed, one is no judge of this programme, or they do not stand in rising order.
    error SettlementNoQuorum();

    /// @notice This verdict was carried out before.
    error SettlementAlreadyJudged(bytes32 verdict);

    /// @notice A programme was opened.
    event Opened(bytes32 indexed programme, Terms terms);

    /// @notice The escrow of a programme grew.
    event Funded(bytes32 indexed programme, address indexed from, uint256 amount);

    /// @notice The coordinator committed a round.
    /// @param hash Hash of `commit`, the next one's parent.
    event Committed(
        bytes32 indexed programme, uint64 indexed round, bytes32 indexed hash, Commit commit, uint64 maturesAt
    );

    /// @notice A payee was paid.
    /// @param amount Paid now.
    /// @param cumulative Paid in all.
    event Claimed(
        bytes32 indexed programme, address indexed payee, uint64 indexed round, uint256 amount, uint256 cumulative
    );

    /// @notice What no standing round committed went back to the funder.
    event Reclaimed(bytes32 indexed programme, uint256 amount);

    /// @notice Commits are paused.
    event Paused(bytes32 indexed programme);

    /// @notice Commits are no longer paused.
    event Unpaused(bytes32 indexed programme);

    /// @notice A challenge was sealed; nobody can tell which.
    event Sealed(bytes32 indexed seal);

    /// @notice A round was proved wrong.
    event Challenged(bytes32 indexed programme, uint64 indexed round, address indexed challenger, ISumVerifier.Kind kind);

    /// @notice A node was demanded.
    event Demanded(
        bytes32 indexed programme,
        uint64 indexed round,
        bytes32 indexed demand,
        ISumVerifier.Node node,
        address demander,
        uint64 deadline
    );

    /// @notice A demand was answered. The answer is here, so that everybody can read it, whoever has called this
    /// contract in whatever way.
    /// @param slotId As in the opening.
    /// @param steps As in the opening, which holds nothing else that the plan does not say.
    event Answered(
        bytes32 indexed programme, uint64 indexed round, bytes32 indexed demand, uint32 slotId, bytes32[] steps
    );

    /// @notice A demand expired without an answer. If the round had neither matured nor been void, it is void now.
    event Expired(bytes32 indexed programme, uint64 indexed round, bytes32 indexed demand);

    /// @notice The judges found `accused` guilty.
    event Judged(bytes32 indexed programme, uint64 indexed round, address indexed accused, bytes32 evidence);

    /// @notice `voidFrom` and all later rounds are void, and the programme is halted for ever.
    event Halted(bytes32 indexed programme, uint64 voidFrom);

    /// @notice Open a programme. Anyone may; the terms are its identifier.
    function open(Terms calldata terms) external returns (bytes32 programme);

    /// @notice Move `amount` of the programme's token from the caller, who approved it, into the escrow.
    function fund(bytes32 programme, uint256 amount) external;

    /// @notice Commit a round. Coordinator only, bonded, before the end, while neither paused nor halted.
    function commit(Commit calldata commitment) external;

    /// @notice Pay `payee` what it earned and was not paid yet. Anyone may ask; only the payee is paid.
    /// @param round Any matured round that is not void; the newest pays most.
    /// @param cumulative What the payee earned from the programme's beginning, as its leaf says.
    /// @param salt Its leaf's 32 secret bytes, without which amounts could be guessed from the root.
    /// @param entry Hash of how the round's part was computed; opened only in a dispute.
    /// @param proof Siblings from the leaf to the round's root.
    function claim(
        bytes32 programme,
        uint64 round,
        address payee,
        uint256 cumulative,
        bytes32 salt,
        bytes32 entry,
        bytes32[] calldata proof
    ) external;

    /// @notice Send what no standing round committed back to the funder. Funder only, from the end or a halt on.
    /// @dev What was committed stays, for its payees, for ever. If rounds are voided later, more can be reclaimed then.
    function reclaim(bytes32 programme) external;

    /// @notice Pause commits. Guardian only. Claims, challenges, demands and answers go on.
    function pause(bytes32 programme) external;

    /// @notice Let commits go on. Guardian only.
    function unpause(bytes32 programme) external;

    /// @notice Announce a challenge without showing it: `seal` is `sealOf` the challenge to come.
    /// @dev Whoever copies a challenge out of the pool has no seal of its own from an earlier block. A seal stays as it
    /// was first set, so that setting it again delays nothing.
    function seal(bytes32 seal_) external;

    /// @notice Prove that a round is wrong, before it matures. Anyone may, who sealed it in an earlier block.
    /// @dev The coordinator's bond is slashed, half of it to the caller; this and all later rounds are void; the
    /// programme is halted. Reverts if the proof proves nothing.
    /// @param proof As `kind` wants it; see `ISumVerifier`.
    function challenge(Commit calldata commitment, ISumVerifier.Kind kind, bytes calldata proof) external;

    /// @notice Demand a node that the coordinator withholds, for `demandBond`, which the vault takes from the caller.
    /// @dev A demand does not extend the window: it must come while an answer and a challenge still fit.
    /// @param arithmetic The arithmetic part of the plan, whose SHA-256 is in the terms: it bounds the positions.
    function demand(Commit calldata commitment, ISumVerifier.Node calldata node, bytes calldata arithmetic) external;

    /// @notice Answer a demand, before its deadline. Anyone may; the demander's bond goes to the coordinator.
    /// @param opening The node's contents and its path to the commit; see `ISumVerifier`.
    function answer(Commit calldata commitment, ISumVerifier.Node calldata node, bytes calldata opening) external;

    /// @notice Close a demand that nobody answered. Anyone may, from its deadline on; the demander's bond goes back.
    /// @dev Before the round matures, and unless it is void, this slashes the coordinator, half of it to the demander.
    function expire(bytes32 programme, uint64 round, ISumVerifier.Node calldata node) external;

    /// @notice Carry out a verdict of the judges, before the round matures: slash `accused`, void the round, halt.
    /// @dev For what no proof shows, as an arithmetic that must not be opened. It pays nobody: all is burned.
    /// @param evidence Digest of the report on which they judged.
    /// @param signatures At least a quorum, ECDSA over `verdictOf`, 65 bytes each, by strictly rising address.
    function slashByVerdict(
        bytes32 programme,
        uint64 round,
        address accused,
        bytes32 evidence,
        bytes[] calldata signatures
    ) external;

    /// @notice The identifier of a programme with these terms.
    function programmeOf(Terms calldata terms) external pure returns (bytes32);

    /// @notice The hash of a commit.
    function commitmentOf(Commit calldata commitment) external pure returns (bytes32);

    /// @notice The leaf of a payout, bound to this chain, this contract, the programme and the payee.
    function leafOf(bytes32 programme, address payee, uint256 cumulative, bytes32 salt, bytes32 entry)
        external
        view
        returns (bytes32);

    /// @notice What to `seal` before a challenge of this round with a proof of this hash (keccak-256) by `challenger`.
    function sealOf(bytes32 programme, uint64 round, address challenger, bytes32 proofHash)
        external
        pure
        returns (bytes32);

    /// @notice The identifier of the demand for a node.
    function demandOf(bytes32 programme, uint64 round, ISumVerifier.Node calldata node) external pure returns (bytes32);

    /// @notice The EIP-712 digest that judges sign: `Verdict(bytes32 programme,uint64 round,address accused,bytes32
    /// evidence)`.
    function verdictOf(bytes32 programme, uint64 round, address accused, bytes32 evidence)
        external
        view
        returns (bytes32);

    /// @notice The EIP-712 domain separator: name "Veilsum", version "1", this chain, this contract.
    function domainSeparator() external view returns (bytes32);

    /// @notice The terms of an open programme; all zero if there is none.
    function termsOf(bytes32 programme) external view returns (Terms memory);

    /// @notice The state of a programme; all zero if there is none.
    function stateOf(bytes32 programme) external view returns (State memory);

    /// @notice Whether the guardian has paused commits.
    function isPaused(bytes32 programme) external view returns (bool);

    /// @notice A round, void ones too; all zero if there is none.
    function roundOf(bytes32 programme, uint64 round) external view returns (Round memory);

    /// @notice The newest round that is not void, which the next commit must follow; all zero if there is none.
    // slither-disable-next-line shadowing-local: a returned value's name in an interface, where nothing can read it
    function headOf(bytes32 programme) external view returns (uint64 round, bytes32 commit, uint128 total);

    /// @notice Whether a round has matured and is not void.
    function isSettled(bytes32 programme, uint64 round) external view returns (bool);

    /// @notice What `payee` was paid in this programme.
    function claimedBy(bytes32 programme, address payee) external view returns (uint256);

    /// @notice A demand; all zero if there is none.
    function demandAt(bytes32 demand_) external view returns (Demand memory);

    /// @notice The block in which a seal was set; zero if it was not.
    function sealedAt(bytes32 seal_) external view returns (uint256);

    /// @notice The vault that holds the bonds. It knows no other contract.
    function vault() external view returns (address);

    /// @notice The verifier of proofs, fixed for ever.
    function verifier() external view returns (address);
}
