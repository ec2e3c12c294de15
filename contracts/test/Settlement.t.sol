// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ISettlement} from "../src/interfaces/ISettlement.sol";
import {ISumVerifier} from "../src/interfaces/ISumVerifier.sol";
import {Fixture} from "./base/Fixture.sol";
import {Payouts} from "./base/Payouts.sol";
import {vm} from "./base/Test.sol";

/// @notice What may be opened, funded and reclaimed.
contract SettlementEscrowTest is Fixture {
    /// @notice A programme's identifier is its terms, all of them.
    function test_a_programme_is_the_hash_of_its_terms() public {
        ISettlement.Terms memory other = defaultTerms();
        other.label = "another";

        bytes32 opened = settlement.open(other);

        vm.assertEq(opened, keccak256(abi.encode(other)), "hash of the terms");
        vm.assertEq(opened, settlement.programmeOf(other), "as anyone can compute it");
        vm.assertEq(keccak256(abi.encode(settlement.termsOf(opened))), opened, "the terms are kept whole");
    }

    function test_terms_open_once() public {
        vm.expectRevert(abi.encodeWithSelector(ISettlement.SettlementAlreadyOpen.selector, programme));
        settlement.open(terms);
    }

    /// @notice Each bound of the terms, from both sides.
    function test_terms_out_of_bounds_are_refused() public {
        for (uint256 i = 0; i < 27; i++) {
            ISettlement.Terms memory bad = defaultTerms();
            bad.label = "bounds";
            bool valid = spoil(bad, i);
            if (!valid) vm.expectRevert(abi.encodeWithSelector(ISettlement.SettlementInvalidTerms.selector));
            settlement.open(bad);
        }
    }

    /// @dev Change one thing of `made`; true if it stays within the bounds.
    function spoil(ISettlement.Terms memory made, uint256 which) private view returns (bool) {
        if (which == 0) made.coordinator = address(0);
        if (which == 1) made.funder = address(0);
        if (which == 2) made.token = stranger;
        if (which == 3) made.end = uint64(block.timestamp);
        if (which == 4) made.window = 2 * made.response;
        if (which == 5) made.bond = 0;
        if (which == 6) made.demandBond = 0;
        if (which == 7) made.leavesPerChunk = 0;
        if (which == 8) made.lastChunkLeaves = 0;
        if (which == 9) made.judgesQuorum = 0;
        if (which == 10) made.judgesQuorum = 4;
        if (which == 11) (made.judges[0], made.judges[1]) = (made.judges[1], made.judges[0]);
        if (which == 12) made.judges[1] = made.judges[0];
        if (which == 13) made.judges[0] = address(0);
        if (which == 14) made.judges = manyJudges(9);
        if (which == 15) made.judges = new address[](0);
        if (which == 16) made.response = 0;
        if (which == 17) (made.judges, made.judgesQuorum) = (manyJudges(8), 8);
        if (which == 18) (made.judges, made.judgesQuorum) = (new address[](0), 0);
        if (which == 19) made.guardian = address(0);
        if (which == 20) (made.window, made.end) = (2 * made.response + 1, uint64(block.timestamp + 1));
        if (which == 21) (made.judgesQuorum, made.leavesPerChunk, made.lastChunkLeaves) = (3, 1, 1);
        if (which == 22) made.lastChunkLeaves = 5;
        if (which == 23) made.arithmetic = 0;
        if (which == 24) made.window = 365 days + 1;
        if (which == 25) made.response = type(uint64).max;
        if (which == 26) (made.judges, made.judgesQuorum) = (manyJudges(9), 9);
        return which >= 17 && which < 22;
    }

    function manyJudges(uint256 count) private pure returns (address[] memory judges) {
        judges = new address[](count);
        for (uint256 i = 0; i < count; i++) judges[i] = address(uint160(i + 1));
    }

    function test_nothing_can_be_done_in_an_unknown_programme() public {
        bytes32 none = keccak256("none");
        bytes memory unknown = abi.encodeWithSelector(ISettlement.SettlementUnknownProgramme.selector, none);
        ISettlement.Commit memory made = nextCommit(1, 4, "root");
        made.programme = none;

        vm.expectRevert(unknown);
        settlement.fund(none, 1);
        vm.expectRevert(unknown);
        settlement.commit(made);
        vm.expectRevert(unknown);
        settlement.reclaim(none);
    }

    function test_anyone_may_fund() public {
        give(stranger, 7);
        vm.expectEmit(true, true, true, true, address(settlement));
        emit ISettlement.Funded(programme, stranger, 7);

        vm.prank(stranger);
        settlement.fund(programme, 7);

        vm.assertEq(settlement.stateOf(programme).funded, ESCROW + 7, "funded");
        vm.assertEq(token.balanceOf(address(settlement)), ESCROW + 7, "held");
    }

    /// @notice Half-open: the last second before the end funds, the end itself does not.
    function test_funding_ends_with_the_programme() public {
        give(funder, 2);
        vm.warp(terms.end - 1);
        fund(1);
        vm.warp(terms.end);

        vm.expectRevert(abi.encodeWithSelector(ISettlement.SettlementEnded.selector, terms.end));
        fund(1);
    }

    function test_reclaim_returns_only_what_was_never_committed() public {
        settle(1, 1_000);
        vm.warp(terms.end);

        vm.prank(funder);
        settlement.reclaim(programme);

        vm.assertEq(token.balanceOf(funder), ESCROW - 4_000, "returned");
        vm.assertEq(settlement.stateOf(programme).funded, 4_000, "kept for the payees");
    }

    function test_reclaim_waits_for_the_end_and_is_the_funders() public {
        vm.warp(terms.end - 1);
        vm.expectRevert(abi.encodeWithSelector(ISettlement.SettlementNotEnded.selector, terms.end));
        vm.prank(funder);
        settlement.reclaim(programme);

        vm.warp(terms.end);
        vm.expectRevert(abi.encodeWithSelector(ISettlement.SettlementUnauthorized.selector, stranger));
        vm.prank(stranger);
        settlement.reclaim(programme);
    }

    function test_nothing_is_reclaimed_twice() public {
        vm.warp(terms.end);
        vm.prank(funder);
        settlement.reclaim(programme);

        vm.expectPartialRevert(ISettlement.SettlementNothingDue.selector);
        vm.prank(funder);
        settlement.reclaim(programme);
    }

    /// @notice A round that is proved wrong after the end gives back what it had reserved.
    function test_a_round_voided_after_a_reclaim_can_be_reclaimed_then() public {
        vm.warp(terms.end - 1);
        (ISettlement.Commit memory made,) = cheat(1, 1_000);
        vm.warp(terms.end);
        vm.prank(funder);
        settlement.reclaim(programme);
        challenge(made, "proof");

        vm.prank(funder);
        settlement.reclaim(programme);

        vm.assertEq(token.balanceOf(funder), ESCROW, "everything");
    }
}

/// @notice Who may commit what, and when.
contract SettlementCommitTest is Fixture {
    function test_a_commit_keeps_its_hash_its_root_and_when_it_matures() public {
        ISettlement.Commit memory made = nextCommit(3, 40, keccak256("root"));
        vm.expectEmit(true, true, true, true, address(settlement));
        emit ISettlement.Committed(programme, 3, hashOf(made), made, uint64(BEGIN) + WINDOW);

        commit(made);

        ISettlement.Round memory kept = settlement.roundOf(programme, 3);
        vm.assertEq(kept.commit, hashOf(made), "hash");
        vm.assertEq(kept.commit, settlement.commitmentOf(made), "as anyone can compute it");
        vm.assertEq(kept.payouts, made.payouts, "root");
        vm.assertEq(kept.total, 40, "total");
        vm.assertEq(kept.maturesAt, BEGIN + WINDOW, "maturity");
        vm.assertEq(kept.previous, 0, "first");
        vm.assertEq(settlement.stateOf(programme).head, 3, "head");
    }

    function test_only_the_coordinator_commits() public {
        ISettlement.Commit memory made = nextCommit(1, 4, keccak256("root"));

        vm.expectRevert(abi.encodeWithSelector(ISettlement.SettlementUnauthorized.selector, funder));
        vm.prank(funder);
        settlement.commit(made);
    }

    function test_the_last_second_before_the_end_commits() public {
        vm.warp(terms.end - 1);
        commit(nextCommit(1, 4, keccak256("root")));
        ISettlement.Commit memory late = nextCommit(2, 4, keccak256("root"));
        vm.warp(terms.end);

        vm.expectRevert(abi.encodeWithSelector(ISettlement.SettlementEnded.selector, terms.end));
        commit(late);
    }

    function test_a_commit_follows_the_newest() public {
        (ISettlement.Commit memory first,) = settle(1, 1);
        ISettlement.Commit memory made = nextCommit(2, 8, keccak256("root"));
        made.parent = 0;

        vm.expectRevert(
            abi.encodeWithSelector(ISettlement.SettlementWrongParent.selector, hashOf(first), bytes32(0))
        );
        commit(made);
    }

    function test_rounds_rise_and_may_skip() public {
        settle(5, 1);
        ISettlement.Commit memory same = nextCommit(5, 8, keccak256("root"));
        vm.expectRevert(abi.encodeWithSelector(ISettlement.SettlementWrongRound.selector, 5, 5));
        commit(same);

        commit(nextCommit(9, 8, keccak256("root")));

        vm.assertEq(settlement.roundOf(programme, 9).previous, 5, "linked");
    }

    function test_round_zero_is_no_round() public {
        ISettlement.Commit memory made = nextCommit(0, 4, keccak256("root"));
        vm.expectRevert(abi.encodeWithSelector(ISettlement.SettlementWrongRound.selector, 0, 0));
        commit(made);
    }

    function test_an_empty_commit_is_refused() public {
        ISettlement.Commit memory made = nextCommit(1, 4, 0);
        vm.expectRevert(abi.encodeWithSelector(ISettlement.SettlementEmptyCommit.selector));
        commit(made);

        made = nextCommit(1, 4, keccak256("root"));
        made.slots = 0;
        vm.expectRevert(abi.encodeWithSelector(ISettlement.SettlementEmptyCommit.selector));
        commit(made);
    }

    /// @notice A total can stay, and can rise by the budget; it can neither fall nor rise by more.
    function test_a_total_moves_by_the_budget_at_most() public {
        settle(1, 10);
        commit(nextCommit(2, 40, keccak256("root")));
        ISettlement.Commit memory made = nextCommit(3, 60, keccak256("root"));
        commit(made);

        ISettlement.Commit memory fallen = nextCommit(4, 59, keccak256("root"));
        vm.expectRevert(abi.encodeWithSelector(ISettlement.SettlementWrongTotal.selector, 60, 0, 59));
        commit(fallen);
        ISettlement.Commit memory risen = nextCommit(4, 70, keccak256("root"));
        risen.budget = 9;
        vm.expectRevert(abi.encodeWithSelector(ISettlement.SettlementWrongTotal.selector, 60, 9, 70));
        commit(risen);
    }

    function test_the_escrow_covers_every_total() public {
        commit(nextCommit(1, ESCROW, keccak256("root")));
        ISettlement.Commit memory made = nextCommit(2, ESCROW + 1, keccak256("root"));

        vm.expectRevert(
            abi.encodeWithSelector(ISettlement.SettlementUnderfunded.selector, ESCROW, uint256(ESCROW) + 1)
        );
        commit(made);
    }

    function test_a_budget_beyond_all_numbers_is_refused_not_wrapped() public {
        commit(nextCommit(1, 4, keccak256("root")));
        ISettlement.Commit memory made = nextCommit(2, 8, keccak256("root"));
        made.budget = type(uint128).max;

        commit(made);

        vm.assertEq(settlement.stateOf(programme).head, 2, "the sum of total and budget does not wrap");
    }

    /// @notice What thaws answers for nothing new.
    function test_a_commit_needs_the_whole_bond() public {
        ISettlement.Commit memory made = nextCommit(1, 4, keccak256("root"));
        vm.prank(coordinator);
        vault.thaw(programme, 1);

        vm.expectRevert(abi.encodeWithSelector(ISettlement.SettlementUnderbonded.selector, BOND, BOND - 1));
        commit(made);
    }

    function test_a_guardian_pauses_commits_alone() public {
        (ISettlement.Commit memory first, Due[] memory list) = settle(1, 10);
        (ISettlement.Commit memory second,) = cheat(2, 20);
        vm.prank(guardian);
        settlement.pause(programme);
        vm.assertTrue(settlement.isPaused(programme), "paused");
        ISettlement.Commit memory made = nextCommit(3, 100, keccak256("root"));
        vm.expectRevert(abi.encodeWithSelector(ISettlement.SettlementPaused.selector));
        commit(made);

        demandAndAnswer(first);
        challenge(second, "proof");
        later(WINDOW);
        claim(1, list, 0);

        vm.assertEq(token.balanceOf(payees[0]), 10, "paid while paused");
        vm.assertEq(settlement.stateOf(programme).voidFrom, 2, "challenged while paused");
    }

    function demandAndAnswer(ISettlement.Commit memory made) private {
        give(stranger, DEMAND_BOND);
        vm.prank(stranger);
        settlement.demand(made, node(1), ARITHMETIC);
        settlement.answer(made, node(1), opening(made, node(1)));
    }

    function test_unpaused_commits_go_on() public {
        vm.startPrank(guardian);
        settlement.pause(programme);
        settlement.unpause(programme);
        vm.stopPrank();

        settle(1, 1);

        vm.assertEq(settlement.stateOf(programme).head, 1, "committed");
    }

    function test_only_the_guardian_pauses() public {
        bytes memory refusal = abi.encodeWithSelector(ISettlement.SettlementUnauthorized.selector, coordinator);
        vm.startPrank(coordinator);
        vm.expectRevert(refusal);
        settlement.pause(programme);
        vm.expectRevert(refusal);
        settlement.unpause(programme);
        vm.stopPrank();
    }

    function test_a_programme_without_a_guardian_cannot_be_paused() public {
        ISettlement.Terms memory made = defaultTerms();
        made.guardian = address(0);
        bytes32 opened = settlement.open(made);

        vm.expectRevert(abi.encodeWithSelector(ISettlement.SettlementUnauthorized.selector, guardian));
        vm.prank(guardian);
        settlement.pause(opened);
    }
}

/// @notice Who is paid what, and when.
contract SettlementClaimTest is Fixture {
    function test_a_claim_pays_from_the_second_of_maturity_on() public {
        (, Due[] memory list) = settle(1, 10);
        vm.warp(BEGIN + WINDOW - 1);
        vm.assertTrue(!settlement.isSettled(programme, 1), "not yet");
        bytes32[] memory proof = Payouts.proof(payoutTree(list), leafOf(list[0]));
        vm.expectRevert(abi.encodeWithSelector(ISettlement.SettlementNotMatured.selector, BEGIN + WINDOW));
        settlement.claim(programme, 1, list[0].payee, 10, list[0].salt, list[0].entry, proof);
        vm.warp(BEGIN + WINDOW);
        vm.assertTrue(settlement.isSettled(programme, 1), "settled");
        vm.expectEmit(true, true, true, true, address(settlement));
        emit ISettlement.Claimed(programme, list[0].payee, 1, 10, 10);

        vm.prank(stranger);
        claim(1, list, 0);

        vm.assertEq(token.balanceOf(list[0].payee), 10, "paid to the payee, whoever asks");
        vm.assertEq(settlement.claimedBy(programme, list[0].payee), 10, "and remembered");
    }

    function test_many_rounds_are_one_claim() public {
        for (uint64 round = 1; round <= 5; round++) settle(round, 10 * round);
        (, Due[] memory list) = settle(6, 100);
        later(WINDOW);

        claim(6, list, 2);

        vm.assertEq(token.balanceOf(list[2].payee), 100, "all of it at once");
    }

    function test_an_older_round_pays_what_it_says_and_a_newer_one_the_rest() public {
        (, Due[] memory first) = settle(1, 10);
        (, Due[] memory second) = settle(2, 25);
        later(WINDOW);

        claim(1, first, 0);
        claim(2, second, 0);

        vm.assertEq(token.balanceOf(payees[0]), 25, "cumulative");
        vm.expectRevert(abi.encodeWithSelector(ISettlement.SettlementNothingDue.selector, 25));
        this.claimAgain(1, first, 0);
    }

    function claimAgain(uint64 round, Due[] memory list, uint256 index) external {
        Due memory due = list[index];
        bytes32[] memory proof = Payouts.proof(payoutTree(list), leafOf(due));
        settlement.claim(programme, round, due.payee, due.cumulative, due.salt, due.entry, proof);
    }

    function test_a_leaf_of_zero_is_nothing_due() public {
        (, Due[] memory list) = settle(1, 0);
        later(WINDOW);
        vm.expectRevert(abi.encodeWithSelector(ISettlement.SettlementNothingDue.selector, 0));
        this.claimAgain(1, list, 0);
    }

    /// @notice Every field of a claim is in its leaf.
    function test_a_claim_with_another_field_is_refused() public {
        (, Due[] memory list) = settle(1, 10);
        later(WINDOW);
        Due memory due = list[0];
        bytes32[] memory proof = Payouts.proof(payoutTree(list), leafOf(due));
        bytes memory refusal = abi.encodeWithSelector(ISettlement.SettlementInvalidProof.selector);

        vm.expectRevert(refusal);
        settlement.claim(programme, 1, stranger, due.cumulative, due.salt, due.entry, proof);
        vm.expectRevert(refusal);
        settlement.claim(programme, 1, due.payee, due.cumulative + 1, due.salt, due.entry, proof);
        vm.expectRevert(refusal);
        settlement.claim(programme, 1, due.payee, due.cumulative, due.entry, due.salt, proof);
        proof[0] = 0;
        vm.expectRevert(refusal);
        settlement.claim(programme, 1, due.payee, due.cumulative, due.salt, due.entry, proof);
    }

    /// @notice The leaf names chain, contract and programme.
    function test_a_claim_counts_nowhere_else() public {
        (ISettlement.Commit memory made, Due[] memory list) = settle(1, 10);
        bytes32[] memory proof = Payouts.proof(payoutTree(list), leafOf(list[0]));
        bytes32 here = settlement.leafOf(programme, list[0].payee, 10, list[0].salt, list[0].entry);
        vm.assertEq(here, leafOf(list[0]), "by the definition");
        later(WINDOW);
        vm.chainId(block.chainid + 1);

        vm.expectRevert(abi.encodeWithSelector(ISettlement.SettlementInvalidProof.selector));
        settlement.claim(made.programme, 1, list[0].payee, 10, list[0].salt, list[0].entry, proof);
    }

    function test_an_unknown_round_pays_nothing() public {
        vm.expectRevert(abi.encodeWithSelector(ISettlement.SettlementUnknownRound.selector, 7));
        settlement.claim(programme, 7, stranger, 1, 0, 0, new bytes32[](0));
    }

    function test_a_void_round_pays_nothing_for_ever() public {
        (ISettlement.Commit memory made,) = cheat(1, 10);
        (, Due[] memory list) = settle(2, 20);
        challenge(made, "proof");
        later(10 * WINDOW);

        vm.expectRevert(abi.encodeWithSelector(ISettlement.SettlementVoid.selector, 2));
        this.claimAgain(2, list, 0);
        vm.assertTrue(!settlement.isSettled(programme, 1), "void");
        vm.assertTrue(!settlement.isSettled(programme, 2), "void with it");
    }

    /// @notice Leaves that promise more than the total draw no more than the total, first come first served.
    function test_a_root_that_promises_more_pays_no_more_than_its_total() public {
        Due[] memory list = dues([uint256(30), 30, 30, 30], "too much");
        commit(nextCommit(1, 100, payoutTree(list)[0]));
        later(WINDOW);
        for (uint256 i = 0; i < 3; i++) claim(1, list, i);

        vm.expectRevert(abi.encodeWithSelector(ISettlement.SettlementOverAllocated.selector, 100, 120));
        this.claimAgain(1, list, 3);
    }

    /// @notice What a later round committed, and could still be void, covers no claim from an earlier one.
    function test_a_total_that_has_not_matured_covers_nothing() public {
        Due[] memory list = dues([uint256(60), 60, 60, 60], "too much");
        commit(nextCommit(1, 100, payoutTree(list)[0]));
        later(WINDOW / 2);
        commit(nextCommit(2, 500, keccak256("later")));
        later(WINDOW / 2);
        claim(1, list, 0);

        vm.expectRevert(abi.encodeWithSelector(ISettlement.SettlementOverAllocated.selector, 100, 120));
        this.claimAgain(1, list, 1);
    }

    function test_an_inner_node_is_no_leaf() public {
        (, Due[] memory list) = settle(1, 10);
        bytes32[] memory nodes = payoutTree(list);
        later(WINDOW);
        bytes32[] memory proof = new bytes32[](1);
        proof[0] = nodes[2];

        vm.expectRevert(abi.encodeWithSelector(ISettlement.SettlementInvalidProof.selector));
        settlement.claim(programme, 1, list[0].payee, 10, list[0].salt, list[0].entry, proof);
    }

    function test_claims_go_on_after_the_end() public {
        (, Due[] memory list) = settle(1, 10);
        vm.warp(terms.end + 3650 days);

        claim(1, list, 0);

        vm.assertEq(token.balanceOf(payees[0]), 10, "claims have no end");
    }
}
