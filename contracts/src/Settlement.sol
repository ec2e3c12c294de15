// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {MerkleProof} from "@openzeppelin/contracts/utils/cryptography/MerkleProof.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

import {ISettlement} from "./interfaces/ISettlement.sol";

/// @title Settlement
/// @dev Per programme `paid <= committed <= funded`, and the contract's balance of a token is at least the sum of
/// `funded - paid` over the programmes in that token. Every function does its work in a time that does not depend on the
/// number of participants.
/// A programme's amounts stay below 2^128, so that `committed` and `paid` share a word: a claim writes one word less.
///
/// The tree is OpenZeppelin's: sorted pairs, leaves hashed twice. Sorted pairs do not prove a position, and none is
/// needed: the leaf itself names the payee. The second hash keeps an inner node from passing for a leaf.
contract Settlement is ISettlement, ReentrancyGuardTransient {
    using SafeCast for uint256;
    using SafeERC20 for IERC20;

    bytes32 private constant LEAF_DOMAIN = keccak256("veilsum/payout-leaf/1");

    mapping(bytes32 programme => Terms terms) private _terms;
    mapping(bytes32 programme => State state) private _states;
    mapping(bytes32 programme => mapping(address payee => uint256 amount)) private _claimed;

    /// @inheritdoc ISettlement
    function open(Terms calldata terms) external returns (bytes32 programme) {
        if (terms.coordinator == address(0) || terms.funder == address(0)) revert SettlementInvalidTerms();
        if (terms.token.code.length == 0 || terms.end <= block.timestamp) revert SettlementInvalidTerms();
        programme = programmeOf(terms);
        if (_isOpen(programme)) revert SettlementAlreadyOpen(programme);

        _terms[programme] = terms;
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
    function commit(bytes32 programme, uint64 round, bytes32 parent, bytes32 root, uint256 total) external {
        _requireRunning(programme);
        if (msg.sender != _terms[programme].coordinator) revert SettlementUnauthorized(msg.sender);
        State storage state = _states[programme];
        if (parent != state.root) revert SettlementWrongParent(state.root, parent);
        if (round <= state.round) revert SettlementWrongRound(state.round, round);
        if (root == bytes32(0)) revert SettlementEmptyRoot();
        if (total < state.committed) revert SettlementTotalFell(state.committed, total);
        if (total > state.funded) revert SettlementUnderfunded(state.funded, total);

        state.round = round;
        state.root = root;
        state.committed = total.toUint128();
        emit Committed(programme, round, root, total);
    }

    /// @inheritdoc ISettlement
    function claim(bytes32 programme, address payee, uint256 cumulative, bytes32 salt, bytes32[] calldata proof)
        external
        nonReentrant
    {
        State storage state = _states[programme];
        bytes32 leaf = leafOf(programme, payee, cumulative, salt);
        if (!MerkleProof.verifyCalldata(proof, state.root, leaf)) revert SettlementInvalidProof();
        uint256 settled = _claimed[programme][payee];
        if (cumulative <= settled) revert SettlementNothingDue(settled);
        uint256 due = cumulative - settled;
        uint256 paid = state.paid + due;
        if (paid > state.committed) revert SettlementOverAllocated(state.committed, paid);

        _claimed[programme][payee] = cumulative;
        state.paid = paid.toUint128();
        emit Claimed(programme, payee, due, cumulative);
        IERC20(_terms[programme].token).safeTransfer(payee, due);
    }

    /// @inheritdoc ISettlement
    function reclaim(bytes32 programme) external nonReentrant {
        _requireOpen(programme);
        Terms storage terms = _terms[programme];
        if (msg.sender != terms.funder) revert SettlementUnauthorized(msg.sender);
        if (block.timestamp < terms.end) revert SettlementNotEnded(terms.end);
        State storage state = _states[programme];
        uint256 amount = state.funded - state.committed;
        if (amount == 0) revert SettlementNothingDue(state.committed);

        state.funded = state.committed;
        emit Reclaimed(programme, amount);
        IERC20(terms.token).safeTransfer(terms.funder, amount);
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
    function claimedBy(bytes32 programme, address payee) external view returns (uint256) {
        return _claimed[programme][payee];
    }

    /// @inheritdoc ISettlement
    function leafOf(bytes32 programme, address payee, uint256 cumulative, bytes32 salt) public view returns (bytes32) {
        bytes memory payout =
            abi.encode(LEAF_DOMAIN, block.chainid, address(this), programme, payee, cumulative, salt);
        return keccak256(bytes.concat(keccak256(payout)));
    }

    /// @inheritdoc ISettlement
    function programmeOf(Terms calldata terms) public pure returns (bytes32) {
        return keccak256(abi.encode(terms));
    }

    function _requireRunning(bytes32 programme) private view {
        _requireOpen(programme);
        uint64 end = _terms[programme].end;
        if (block.timestamp >= end) revert SettlementEnded(end);
    }

    function _requireOpen(bytes32 programme) private view {
        if (!_isOpen(programme)) revert SettlementUnknownProgramme(programme);
    }

    function _isOpen(bytes32 programme) private view returns (bool) {
        return _terms[programme].coordinator != address(0);
    }
}
