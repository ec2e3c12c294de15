// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {MerkleProof} from "@openzeppelin/contracts/utils/cryptography/MerkleProof.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

import {ISettlement} from "./interfaces/ISettlement.sol";
import {IStakeVault} from "./interfaces/IStakeVault.sol";
import {ISumVerifier} from "./interfaces/ISumVerifier.sol";
import {StakeVault} from "./StakeVault.sol";

/// @title Settlement
/// @dev Per programme `paid <= settled <= total of the head <= funded`, and the contract's balance of a token is at
/// least the sum of `funded - paid` over the programmes in that token. Every function does its work in a time that does
/// not depend on the number of participants, nor of rounds.
/// A programme's window never changes and time does not run back, so rounds mature in the order of their commits: when
/// a round is voided, no later one was ever claimed from.
///
/// The payout tree is OpenZeppelin's: sorted pairs, leaves hashed twice. Sorted pairs do not prove a position, and none
/// is needed: the leaf itself names the payee. The second hash keeps an inner node from passing for a leaf.
contract Settlement is ISettlement, EIP712, ReentrancyGuardTransient {
    using SafeCast for uint256;
    using SafeERC20 for IERC20;

    /// @dev What every commit reads of the terms, in two words: to read a third would cost it 2,100 gas.
    struct Office {
        address coordinator;
        bool paused;
        uint128 bond;
        uint64 window;
        uint64 end;
    }

    bytes32 private constant LEAF_DOMAIN = keccak256("veilsum/payout-leaf/2");
    bytes32 private constant VERDICT =
        keccak256("Verdict(bytes32 programme,uint64 round,address accused,bytes32 evidence)");
    /// @dev As `voidFrom`: no round is void. The word that a commit writes is never zero: the first one costs no more.
    uint64 private constant NONE = type(uint64).max;
    uint256 private constant MOST_JUDGES = 8;
    uint256 private constant LONGEST_WINDOW = 365 days;

    IStakeVault private immutable _vault;
    ISumVerifier private immutable _verifier;

    mapping(bytes32 programme => Terms terms) private _terms;
    mapping(bytes32 programme => Office office) private _offices;
    mapping(bytes32 programme => State state) private _states;
    mapping(bytes32 programme => mapping(uint64 number => Round round)) private _rounds;
    mapping(bytes32 programme => mapping(address payee => uint256 amount)) private _claimed;
    mapping(bytes32 id => Demand demand) private _demands;
    mapping(bytes32 seal => uint256 height) private _sealed;
    mapping(bytes32 verdict => bool done) private _judged;

    /// @param verifier_ Judge of the proofs, for every programme and for ever.
    constructor(address verifier_) EIP712("Veilsum", "1") {
        _verifier = ISumVerifier(verifier_);
        _vault = new StakeVault();
    }

    /// @inheritdoc ISettlement
    function open(Terms calldata terms) external returns (bytes32 programme) {
        if (!_areSound(terms)) revert SettlementInvalidTerms();
        programme = programmeOf(terms);
        if (_isOpen(programme)) revert SettlementAlreadyOpen(programme);

        _terms[programme] = terms;
        _states[programme].voidFrom = NONE;
        _offices[programme] = Office(terms.coordinator, false, terms.bond, terms.window, terms.end);
        emit Opened(programme, terms);
    }

    /// @inheritdoc ISettlement
    /// @dev The amount is credited after the transfer was measured, so that nothing can be committed against tokens that
    /// have not arrived; the guard keeps other calls out of the measurement.
    function fund(bytes32 programme, uint256 amount) external nonReentrant {
        _requireRunning(programme);
        IERC20 token = IERC20(_terms[programme].token);

        uint256 before = token.balanceOf(address(this));
        token.safeTransferFrom(msg.sender, address(this), amount);
        uint256 received = token.balanceOf(address(this)) - before;
        if (received != amount) revert SettlementUnexpectedTransfer(amount, received);

        _states[programme].funded += amount.toUint128();
        emit Funded(programme, msg.sender, amount);
    }

    /// @inheritdoc ISettlement
    function commit(Commit calldata commitment) external {
        bytes32 programme = commitment.programme;
        _requireRunning(programme);
        Office storage office = _offices[programme];
        if (msg.sender != office.coordinator) revert SettlementUnauthorized(msg.sender);
        if (office.paused) revert SettlementPaused();
        uint64 head = _states[programme].head;
        _requireFollows(commitment, head);
        uint256 bonded = _vault.bondOf(programme, msg.sender);
        if (bonded < office.bond) revert SettlementUnderbonded(office.bond, bonded);

        bytes32 hash = commitmentOf(commitment);
        uint64 maturesAt = (block.timestamp + office.window).toUint64();
        _states[programme].head = commitment.round;
        _rounds[programme][commitment.round] = Round(hash, commitment.payouts, commitment.total, maturesAt, head);
        emit Committed(programme, commitment.round, hash, commitment, maturesAt);
    }

    /// @inheritdoc ISettlement
    /// @dev What was paid from one round counts against every other: `settled` rises with the newest round claimed from.
    function claim(
        bytes32 programme,
        uint64 round,
        address payee,
        uint256 cumulative,
        bytes32 salt,
        bytes32 entry,
        bytes32[] calldata proof
    ) external nonReentrant {
        State storage state = _states[programme];
        Round storage from = _requireStanding(programme, round);
        // slither-disable-next-line timestamp: seconds are small beside a window
        if (block.timestamp < from.maturesAt) revert SettlementNotMatured(from.maturesAt);
        bytes32 leaf = leafOf(programme, payee, cumulative, salt, entry);
        if (!MerkleProof.verifyCalldata(proof, from.payouts, leaf)) revert SettlementInvalidProof();
        uint256 before = _claimed[programme][payee];
        if (cumulative <= before) revert SettlementNothingDue(before);
        uint256 due = cumulative - before;
        uint128 settled = from.total > state.settled ? from.total : state.settled;
        uint256 paid = state.paid + due;
        if (paid > settled) revert SettlementOverAllocated(settled, paid);

        _claimed[programme][payee] = cumulative;
        state.paid = paid.toUint128();
        if (settled != state.settled) state.settled = settled;
        emit Claimed(programme, payee, round, due, cumulative);
        IERC20(_terms[programme].token).safeTransfer(payee, due);
    }

    /// @inheritdoc ISettlement
    function reclaim(bytes32 programme) external nonReentrant {
        _requireOpen(programme);
        Terms storage terms = _terms[programme];
        State storage state = _states[programme];
        if (msg.sender != terms.funder) revert SettlementUnauthorized(msg.sender);
        // slither-disable-next-line timestamp: seconds are small beside a window
        if (block.timestamp < terms.end && state.voidFrom == NONE) revert SettlementNotEnded(terms.end);
        uint128 committed = _rounds[programme][state.head].total;
        uint256 amount = state.funded - committed;
        if (amount == 0) revert SettlementNothingDue(committed);

        state.funded = committed;
        emit Reclaimed(programme, amount);
        IERC20(terms.token).safeTransfer(terms.funder, amount);
    }

    /// @inheritdoc ISettlement
    function pause(bytes32 programme) external {
        _requireGuardian(programme);
        _offices[programme].paused = true;
        emit Paused(programme);
    }

    /// @inheritdoc ISettlement
    function unpause(bytes32 programme) external {
        _requireGuardian(programme);
        _offices[programme].paused = false;
        emit Unpaused(programme);
    }

    /// @inheritdoc ISettlement
    function seal(bytes32 seal_) external {
        if (_sealed[seal_] == 0) {
            _sealed[seal_] = block.number;
            emit Sealed(seal_);
        }
    }

    /// @inheritdoc ISettlement
    function challenge(Commit calldata commitment, ISumVerifier.Kind kind, bytes calldata proof) external {
        bytes32 programme = commitment.programme;
        Round storage round = _requireDisputable(programme, commitment.round);
        _requireCommitted(round, commitment);
        _requireSealed(sealOf(programme, commitment.round, msg.sender, keccak256(proof)));
        if (!_verifier.verdict(_contextOf(commitment, round), kind, proof)) revert SettlementNotFraud();

        emit Challenged(programme, commitment.round, msg.sender, kind);
        _convict(programme, commitment.round, msg.sender);
    }

    /// @inheritdoc ISettlement
    function demand(Commit calldata commitment, ISumVerifier.Node calldata node, bytes calldata arithmetic)
        external
        nonReentrant
    {
        bytes32 programme = commitment.programme;
        Round storage round = _requireDisputable(programme, commitment.round);
        _requireCommitted(round, commitment);
        bytes32 id = demandOf(programme, commitment.round, node);
        if (_demands[id].deadline != 0) revert SettlementAlreadyDemanded(id);
        Terms storage terms = _terms[programme];
        uint256 deadline = block.timestamp + terms.response;
        if (deadline + terms.response > round.maturesAt) revert SettlementDemandTooLate(round.maturesAt);
        if (!_verifier.exists(_contextOf(commitment, round), node, arithmetic)) revert SettlementUnknownNode();

        _demands[id] = Demand(msg.sender, deadline.toUint64(), false);
        emit Demanded(programme, commitment.round, id, node, msg.sender, deadline.toUint64());
        _vault.lock(programme, msg.sender, terms.demandBond);
    }

    /// @inheritdoc ISettlement
    function answer(Commit calldata commitment, ISumVerifier.Node calldata node, bytes calldata opening) external {
        bytes32 programme = commitment.programme;
        Round storage round = _requireStanding(programme, commitment.round);
        _requireCommitted(round, commitment);
        bytes32 id = demandOf(programme, commitment.round, node);
        Demand storage asked = _requireDemanded(id);
        // slither-disable-next-line timestamp: seconds are small beside a window
        if (block.timestamp >= asked.deadline) revert SettlementAnswerTooLate(asked.deadline);
        if (!_verifier.opens(_contextOf(commitment, round), node, opening)) revert SettlementWrongAnswer();

        asked.closed = true;
        // As it was read, and not as it came: one opening has many encodings, and readers of logs know one.
        ISumVerifier.Opening memory given = abi.decode(opening, (ISumVerifier.Opening));
        emit Answered(programme, commitment.round, id, given.slotId, given.steps);
        _vault.release(programme, _terms[programme].coordinator, _terms[programme].demandBond);
    }

    /// @inheritdoc ISettlement
    function expire(bytes32 programme, uint64 round, ISumVerifier.Node calldata node) external {
        bytes32 id = demandOf(programme, round, node);
        Demand storage asked = _requireDemanded(id);
        // slither-disable-next-line timestamp: seconds are small beside a window
        if (block.timestamp < asked.deadline) revert SettlementNotExpired(asked.deadline);

        asked.closed = true;
        emit Expired(programme, round, id);
        _vault.release(programme, asked.demander, _terms[programme].demandBond);
        bool open_ = block.timestamp < _rounds[programme][round].maturesAt;
        if (open_ && !_isVoid(programme, round)) _convict(programme, round, asked.demander);
    }

    /// @inheritdoc ISettlement
    /// @dev A void round can still cost a second accused its bond; each verdict is carried out once.
    function slashByVerdict(
        bytes32 programme,
        uint64 round,
        address accused,
        bytes32 evidence,
        bytes[] calldata signatures
    ) external {
        _requireUnmatured(_requireKnown(programme, round));
        bytes32 digest = verdictOf(programme, round, accused, evidence);
        if (_judged[digest]) revert SettlementAlreadyJudged(digest);
        _requireQuorum(_terms[programme], digest, signatures);

        _judged[digest] = true;
        emit Judged(programme, round, accused, evidence);
        _vault.slash(programme, accused, address(0));
        if (!_isVoid(programme, round)) _void(programme, round);
    }

    /// @inheritdoc ISettlement
    function termsOf(bytes32 programme) external view returns (Terms memory) {
        return _terms[programme];
    }

    /// @inheritdoc ISettlement
    function stateOf(bytes32 programme) external view returns (State memory) {
        return _states[programme];
    }

    /// @inheritdoc ISettlement
    function isPaused(bytes32 programme) external view returns (bool) {
        return _offices[programme].paused;
    }

    /// @inheritdoc ISettlement
    function roundOf(bytes32 programme, uint64 round) external view returns (Round memory) {
        return _rounds[programme][round];
    }

    /// @inheritdoc ISettlement
    function headOf(bytes32 programme) external view returns (uint64, bytes32, uint128) {
        uint64 head = _states[programme].head;
        Round storage newest = _rounds[programme][head];
        return (head, newest.commit, newest.total);
    }

    /// @inheritdoc ISettlement
    function isSettled(bytes32 programme, uint64 round) external view returns (bool) {
        uint64 maturesAt = _rounds[programme][round].maturesAt;
        // slither-disable-next-line timestamp: seconds are small beside a window
        return maturesAt != 0 && block.timestamp >= maturesAt && !_isVoid(programme, round);
    }

    /// @inheritdoc ISettlement
    function claimedBy(bytes32 programme, address payee) external view returns (uint256) {
        return _claimed[programme][payee];
    }

    /// @inheritdoc ISettlement
    function demandAt(bytes32 demand_) external view returns (Demand memory) {
        return _demands[demand_];
    }

    /// @inheritdoc ISettlement
    function sealedAt(bytes32 seal_) external view returns (uint256) {
        return _sealed[seal_];
    }

    /// @inheritdoc ISettlement
    function domainSeparator() external view returns (bytes32) {
        return _domainSeparatorV4();
    }

    /// @inheritdoc ISettlement
    function vault() external view returns (address) {
        return address(_vault);
    }

    /// @inheritdoc ISettlement
    function verifier() external view returns (address) {
        return address(_verifier);
    }

    /// @inheritdoc ISettlement
    function verdictOf(bytes32 programme, uint64 round, address accused, bytes32 evidence)
        public
        view
        returns (bytes32)
    {
        return _hashTypedDataV4(keccak256(abi.encode(VERDICT, programme, round, accused, evidence)));
    }

    /// @inheritdoc ISettlement
    function leafOf(bytes32 programme, address payee, uint256 cumulative, bytes32 salt, bytes32 entry)
        public
        view
        returns (bytes32)
    {
        bytes memory payout =
            abi.encode(LEAF_DOMAIN, block.chainid, address(this), programme, payee, cumulative, salt, entry);
        return keccak256(bytes.concat(keccak256(payout)));
    }

    /// @inheritdoc ISettlement
    function programmeOf(Terms calldata terms) public pure returns (bytes32) {
        return keccak256(abi.encode(terms));
    }

    /// @inheritdoc ISettlement
    function commitmentOf(Commit calldata commitment) public pure returns (bytes32) {
        return keccak256(abi.encode(commitment));
    }

    /// @inheritdoc ISettlement
    function sealOf(bytes32 programme, uint64 round, address challenger, bytes32 proofHash)
        public
        pure
        returns (bytes32)
    {
        return keccak256(abi.encode(programme, round, challenger, proofHash));
    }

    /// @inheritdoc ISettlement
    function demandOf(bytes32 programme, uint64 round, ISumVerifier.Node calldata node) public pure returns (bytes32) {
        return keccak256(abi.encode(programme, round, node));
    }

    /// @dev The coordinator loses its bond and the programme.
    function _convict(bytes32 programme, uint64 round, address challenger) private {
        _vault.slash(programme, _terms[programme].coordinator, challenger);
        _void(programme, round);
    }

    /// @dev The round must stand, so that `voidFrom` only falls and the head only rolls back.
    function _void(bytes32 programme, uint64 round) private {
        State storage state = _states[programme];
        state.voidFrom = round;
        state.head = _rounds[programme][round].previous;
        // slither-disable-next-line reentrancy-events: what was called is our own vault, which here calls nobody but us
        emit Halted(programme, round);
    }

    function _contextOf(Commit calldata commitment, Round storage round)
        private
        view
        returns (ISumVerifier.Context memory context)
    {
        Terms storage terms = _terms[commitment.programme];
        context.chainId = block.chainid;
        context.settlement = address(this);
        context.domain = _domainSeparatorV4();
        context.coordinator = terms.coordinator;
        context.arithmetic = terms.arithmetic;
        context.leavesPerChunk = terms.leavesPerChunk;
        context.lastChunkLeaves = terms.lastChunkLeaves;
        context.payoutsBefore = _rounds[commitment.programme][round.previous].payouts;
        context.commit = commitment;
    }

    function _requireFollows(Commit calldata commitment, uint64 head) private view {
        Round storage newest = _rounds[commitment.programme][head];
        if (commitment.parent != newest.commit) revert SettlementWrongParent(newest.commit, commitment.parent);
        if (commitment.round <= head || commitment.round == NONE) {
            revert SettlementWrongRound(head, commitment.round);
        }
        if (commitment.payouts == bytes32(0) || commitment.slots == 0) revert SettlementEmptyCommit();
        (uint256 total, uint256 committed) = (commitment.total, newest.total);
        if (total < committed || total - committed > commitment.budget) {
            revert SettlementWrongTotal(committed, commitment.budget, total);
        }
        uint256 funded = _states[commitment.programme].funded;
        if (total > funded) revert SettlementUnderfunded(funded, total);
    }

    function _requireQuorum(Terms storage terms, bytes32 digest, bytes[] calldata signatures) private view {
        address[] memory judges = terms.judges;
        uint256 next = 0;
        for (uint256 each = 0; each < signatures.length; each++) {
            address signer = ECDSA.recoverCalldata(digest, signatures[each]);
            // Both rise, so one pass finds each signer, and none twice.
            while (next < judges.length && judges[next] != signer) next++;
            if (next++ == judges.length) revert SettlementNoQuorum();
        }
        if (judges.length == 0 || signatures.length < terms.judgesQuorum) revert SettlementNoQuorum();
    }

    function _requireSealed(bytes32 seal_) private view {
        uint256 height = _sealed[seal_];
        if (height == 0 || height >= block.number) revert SettlementNotSealed(seal_);
    }

    function _requireDemanded(bytes32 id) private view returns (Demand storage asked) {
        asked = _demands[id];
        if (asked.deadline == 0 || asked.closed) revert SettlementNotDemanded(id);
    }

    function _requireCommitted(Round storage round, Commit calldata commitment) private view {
        bytes32 shown = commitmentOf(commitment);
        if (shown != round.commit) revert SettlementWrongCommit(round.commit, shown);
    }

    function _requireDisputable(bytes32 programme, uint64 number) private view returns (Round storage round) {
        round = _requireStanding(programme, number);
        _requireUnmatured(round);
    }

    function _requireUnmatured(Round storage round) private view {
        // slither-disable-next-line timestamp: seconds are small beside a window
        if (block.timestamp >= round.maturesAt) revert SettlementMatured(round.maturesAt);
    }

    function _requireStanding(bytes32 programme, uint64 number) private view returns (Round storage round) {
        round = _requireKnown(programme, number);
        if (_isVoid(programme, number)) revert SettlementVoid(number);
    }

    function _requireKnown(bytes32 programme, uint64 number) private view returns (Round storage round) {
        round = _rounds[programme][number];
        if (round.maturesAt == 0) revert SettlementUnknownRound(number);
    }

    function _requireGuardian(bytes32 programme) private view {
        if (msg.sender != _terms[programme].guardian) revert SettlementUnauthorized(msg.sender);
    }

    function _requireRunning(bytes32 programme) private view {
        _requireOpen(programme);
        uint64 end = _offices[programme].end;
        // slither-disable-next-line timestamp: seconds are small beside a window
        if (block.timestamp >= end) revert SettlementEnded(end);
        uint64 voidFrom = _states[programme].voidFrom;
        if (voidFrom != NONE) revert SettlementHalted(voidFrom);
    }

    function _requireOpen(bytes32 programme) private view {
        if (!_isOpen(programme)) revert SettlementUnknownProgramme(programme);
    }

    function _isOpen(bytes32 programme) private view returns (bool) {
        return _offices[programme].coordinator != address(0);
    }

    function _isVoid(bytes32 programme, uint64 round) private view returns (bool) {
        return round >= _states[programme].voidFrom;
    }

    function _areSound(Terms calldata terms) private view returns (bool) {
        bool parties = terms.coordinator != address(0) && terms.funder != address(0);
        bool money = terms.token.code.length > 0 && terms.bond > 0 && terms.demandBond > 0;
        bool leaves = terms.lastChunkLeaves > 0 && terms.lastChunkLeaves <= terms.leavesPerChunk;
        bool shape = leaves && terms.arithmetic != bytes32(0);
        return parties && money && shape && _areSoundTimes(terms) && _areSoundJudges(terms);
    }

    function _areSoundTimes(Terms calldata terms) private view returns (bool) {
        bool ordered = terms.response > 0 && terms.window > 2 * uint256(terms.response);
        // slither-disable-next-line timestamp: seconds are small beside a window
        return ordered && terms.window <= LONGEST_WINDOW && terms.end > block.timestamp;
    }

    function _areSoundJudges(Terms calldata terms) private pure returns (bool) {
        uint256 count = terms.judges.length;
        if (count > MOST_JUDGES || terms.judgesQuorum > count) return false;
        if ((count == 0) != (terms.judgesQuorum == 0)) return false;
        address last = address(0);
        for (uint256 each = 0; each < count; each++) {
            if (terms.judges[each] <= last) return false;
            last = terms.judges[each];
        }
        return true;
    }
}
