// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ISettlement} from "../src/interfaces/ISettlement.sol";
import {IStakeVault} from "../src/interfaces/IStakeVault.sol";
import {ISumVerifier} from "../src/interfaces/ISumVerifier.sol";
import {Fixture} from "./base/Fixture.sol";
import {vm} from "./base/Test.sol";

/// @notice A coordinator that adds wrongly loses its bond, its rounds and its programme.
contract ChallengeTest is Fixture {
    function test_a_proof_slashes_voids_and_halts() public {
        (ISettlement.Commit memory honest,) = settle(1, 10);
        (ISettlement.Commit memory made,) = cheat(2, 20);
        (ISettlement.Commit memory last,) = settle(3, 30);

        challenge(made, "proof");

        vm.assertEq(vault.creditOf(address(token), challenger), BOND / 2, "half to the challenger");
        vm.assertEq(vault.creditOf(address(token), vault.BURNED()), BOND - BOND / 2, "half burned");
        vm.assertEq(vault.bondOf(programme, coordinator), 0, "nothing left");
        (uint64 head, bytes32 hash, uint128 total) = settlement.headOf(programme);
        vm.assertEq(head, 1, "the head rolls back");
        vm.assertEq(hash, hashOf(honest), "to the round before");
        vm.assertEq(total, 40, "and its total");
        give(coordinator, BOND);
        bond(coordinator, BOND);
        last.parent = hashOf(honest);
        last.round = 4;
        vm.expectRevert(abi.encodeWithSelector(ISettlement.SettlementHalted.selector, 2));
        commit(last);
        give(funder, 1);
        vm.expectRevert(abi.encodeWithSelector(ISettlement.SettlementHalted.selector, 2));
        fund(1);
    }

    function test_the_first_round_can_be_void() public {
        (ISettlement.Commit memory made,) = cheat(1, 10);

        challenge(made, "proof");

        (uint64 head, bytes32 hash, uint128 total) = settlement.headOf(programme);
        vm.assertEq(head, 0, "no head");
        vm.assertEq(hash, bytes32(0), "no hash");
        vm.assertEq(total, 0, "no total");
        vm.prank(funder);
        settlement.reclaim(programme);
        vm.assertEq(token.balanceOf(funder), ESCROW, "a halt is an end for the funder");
    }

    function test_an_earlier_round_can_be_voided_after_a_later_one() public {
        (ISettlement.Commit memory first,) = cheat(1, 10);
        (ISettlement.Commit memory second,) = cheat(2, 20);
        challenge(second, "proof");

        challenge(first, "proof");

        vm.assertEq(settlement.stateOf(programme).voidFrom, 1, "void from the first");
        vm.assertEq(settlement.stateOf(programme).head, 0, "no head");
        vm.assertEq(vault.creditOf(address(token), challenger), BOND / 2, "a bond is slashed once");
    }

    function test_a_void_round_is_not_challenged_again() public {
        (ISettlement.Commit memory made,) = cheat(1, 10);
        challenge(made, "proof");
        settlement.seal(sealFor(made, challenger, "another proof"));
        vm.roll(block.number + 1);

        vm.expectRevert(abi.encodeWithSelector(ISettlement.SettlementVoid.selector, 1));
        vm.prank(challenger);
        settlement.challenge(made, ISumVerifier.Kind.BadSum, "another proof");
    }

    /// @notice Half-open: the last second challenges, maturity itself does not.
    function test_a_matured_round_is_safe() public {
        (ISettlement.Commit memory made,) = cheat(1, 10);
        settlement.seal(sealFor(made, challenger, "proof"));
        vm.roll(block.number + 1);
        vm.warp(BEGIN + WINDOW);
        vm.expectRevert(abi.encodeWithSelector(ISettlement.SettlementMatured.selector, BEGIN + WINDOW));
        vm.prank(challenger);
        settlement.challenge(made, ISumVerifier.Kind.BadSum, "proof");
        vm.warp(BEGIN + WINDOW - 1);

        vm.prank(challenger);
        settlement.challenge(made, ISumVerifier.Kind.BadSum, "proof");

        vm.assertEq(settlement.stateOf(programme).voidFrom, 1, "void");
    }

    function test_an_honest_round_is_not_fraud() public {
        (ISettlement.Commit memory made,) = settle(1, 10);
        settlement.seal(sealFor(made, challenger, "proof"));
        vm.roll(block.number + 1);

        vm.expectRevert(abi.encodeWithSelector(ISettlement.SettlementNotFraud.selector));
        vm.prank(challenger);
        settlement.challenge(made, ISumVerifier.Kind.BadSum, "proof");
    }

    function test_a_challenge_shows_what_was_committed() public {
        (ISettlement.Commit memory made,) = settle(1, 10);
        bytes32 committed = hashOf(made);
        made.sum = keccak256("never committed");
        settlement.seal(sealFor(made, challenger, "proof"));
        vm.roll(block.number + 1);

        vm.expectRevert(
            abi.encodeWithSelector(ISettlement.SettlementWrongCommit.selector, committed, hashOf(made))
        );
        vm.prank(challenger);
        settlement.challenge(made, ISumVerifier.Kind.BadSum, "proof");
    }

    function test_an_unknown_round_is_not_challenged() public {
        ISettlement.Commit memory made = nextCommit(4, 4, keccak256("root"));
        settlement.seal(sealFor(made, challenger, "proof"));
        vm.roll(block.number + 1);

        vm.expectRevert(abi.encodeWithSelector(ISettlement.SettlementUnknownRound.selector, 4));
        vm.prank(challenger);
        settlement.challenge(made, ISumVerifier.Kind.BadSum, "proof");
    }

    /// @notice Who copies a challenge out of the pool has sealed nothing in an earlier block.
    function test_a_copied_challenge_is_refused() public {
        (ISettlement.Commit memory made,) = cheat(1, 10);
        settlement.seal(sealFor(made, challenger, "proof"));
        vm.roll(block.number + 1);
        bytes32 own = sealFor(made, stranger, "proof");
        settlement.seal(own);

        vm.expectRevert(abi.encodeWithSelector(ISettlement.SettlementNotSealed.selector, own));
        vm.prank(stranger);
        settlement.challenge(made, ISumVerifier.Kind.BadSum, "proof");
    }

    function test_a_seal_is_of_its_proof() public {
        (ISettlement.Commit memory made,) = cheat(1, 10);
        settlement.seal(sealFor(made, challenger, "proof"));
        vm.roll(block.number + 1);

        vm.expectRevert(
            abi.encodeWithSelector(
                ISettlement.SettlementNotSealed.selector, sealFor(made, challenger, "another proof")
            )
        );
        vm.prank(challenger);
        settlement.challenge(made, ISumVerifier.Kind.BadSum, "another proof");
    }

    /// @notice Nobody can delay a challenge by sealing it again.
    function test_a_seal_stays_as_it_was_first_set() public {
        (ISettlement.Commit memory made,) = cheat(1, 10);
        bytes32 seal = sealFor(made, challenger, "proof");
        vm.assertEq(
            seal, settlement.sealOf(programme, 1, challenger, keccak256("proof")), "as anyone can compute it"
        );
        settlement.seal(seal);
        uint256 first = settlement.sealedAt(seal);
        vm.roll(block.number + 1);

        vm.prank(coordinator);
        settlement.seal(seal);

        vm.assertEq(settlement.sealedAt(seal), first, "unmoved");
        vm.prank(challenger);
        settlement.challenge(made, ISumVerifier.Kind.BadSum, "proof");
    }

    /// @notice A coordinator that proves itself wrong loses half all the same.
    function test_challenging_oneself_does_not_pay() public {
        (ISettlement.Commit memory made,) = cheat(1, 10);
        settlement.seal(sealFor(made, coordinator, "proof"));
        vm.roll(block.number + 1);
        vm.prank(coordinator);
        settlement.challenge(made, ISumVerifier.Kind.BadSum, "proof");

        vault.collect(address(token), coordinator);

        vm.assertEq(token.balanceOf(coordinator), BOND / 2, "half is gone");
    }

    /// @notice What thaws is slashed too: nobody runs away between a false commit and its proof.
    function test_thawing_does_not_save_a_bond() public {
        (ISettlement.Commit memory made,) = cheat(1, 10);
        vm.prank(coordinator);
        vault.thaw(programme, BOND);

        challenge(made, "proof");

        vm.assertEq(vault.stakeOf(programme, coordinator).thawing, 0, "taken");
        vm.assertEq(vault.creditOf(address(token), challenger), BOND / 2, "and paid");
    }

    function test_a_challenge_slashes_no_other_programme() public {
        ISettlement.Terms memory other = defaultTerms();
        other.label = "another";
        bytes32 opened = settlement.open(other);
        give(coordinator, BOND);
        vm.prank(coordinator);
        vault.bond(opened, BOND);
        (ISettlement.Commit memory made,) = cheat(1, 10);

        challenge(made, "proof");

        vm.assertEq(vault.bondOf(opened, coordinator), BOND, "untouched");
        vm.assertEq(settlement.stateOf(opened).voidFrom, type(uint64).max, "running");
    }
}

/// @notice What a coordinator withholds can be asked for, and costs it its bond if it stays silent.
contract DemandTest is Fixture {
    ISettlement.Commit internal made;
    bytes32 internal id;

    function setUp() public override {
        super.setUp();
        (made,) = settle(1, 10);
        give(challenger, DEMAND_BOND);
        id = demandId(1, node(2));
    }

    function demand() private {
        vm.prank(challenger);
        settlement.demand(made, node(2), ARITHMETIC);
    }

    function test_a_demand_locks_its_bond() public {
        vm.expectEmit(true, true, true, true, address(settlement));
        emit ISettlement.Demanded(programme, 1, id, node(2), challenger, uint64(BEGIN) + RESPONSE);

        demand();

        ISettlement.Demand memory kept = settlement.demandAt(id);
        vm.assertEq(kept.demander, challenger, "demander");
        vm.assertEq(kept.deadline, BEGIN + RESPONSE, "deadline");
        vm.assertEq(vault.lockedIn(programme), DEMAND_BOND, "locked");
        vm.assertEq(token.balanceOf(challenger), 0, "taken");
        vm.assertEq(settlement.roundOf(programme, 1).maturesAt, BEGIN + WINDOW, "maturity stays");
    }

    function test_an_answer_pays_the_coordinator_whoever_gives_it() public {
        demand();
        vm.warp(BEGIN + RESPONSE - 1);
        bytes memory shown = opening(made, node(2));
        ISumVerifier.Opening memory given = abi.decode(shown, (ISumVerifier.Opening));
        vm.expectEmit(true, true, true, true, address(settlement));
        emit ISettlement.Answered(programme, 1, id, given.slotId, given.steps);

        vm.prank(stranger);
        settlement.answer(made, node(2), shown);

        vm.assertEq(vault.creditOf(address(token), coordinator), DEMAND_BOND, "paid");
        vm.assertEq(vault.lockedIn(programme), 0, "unlocked");
        vm.assertTrue(settlement.demandAt(id).closed, "closed");
    }

    function test_an_answer_after_the_deadline_is_none() public {
        demand();
        vm.warp(BEGIN + RESPONSE);

        vm.expectRevert(abi.encodeWithSelector(ISettlement.SettlementAnswerTooLate.selector, BEGIN + RESPONSE));
        settlement.answer(made, node(2), opening(made, node(2)));
    }

    function test_a_wrong_answer_is_none() public {
        demand();
        vm.expectRevert(abi.encodeWithSelector(ISettlement.SettlementWrongAnswer.selector));
        settlement.answer(made, node(2), opening(made, node(3)));
    }

    function test_an_answer_is_to_a_demand() public {
        bytes32 other = demandId(1, node(3));
        vm.expectRevert(abi.encodeWithSelector(ISettlement.SettlementNotDemanded.selector, other));
        settlement.answer(made, node(3), opening(made, node(3)));
    }

    function test_an_answer_under_another_commit_is_none() public {
        demand();
        bytes32 committed = hashOf(made);
        made.cohort = keccak256("another");
        bytes memory shown = opening(made, node(2));

        vm.expectRevert(
            abi.encodeWithSelector(ISettlement.SettlementWrongCommit.selector, committed, hashOf(made))
        );
        settlement.answer(made, node(2), shown);
    }

    function test_silence_costs_the_bond() public {
        demand();
        vm.warp(BEGIN + RESPONSE);
        vm.expectEmit(true, true, true, true, address(settlement));
        emit ISettlement.Expired(programme, 1, id);

        settlement.expire(programme, 1, node(2));

        vm.assertEq(vault.creditOf(address(token), challenger), DEMAND_BOND + BOND / 2, "bond back, and half");
        vm.assertEq(vault.creditOf(address(token), vault.BURNED()), BOND - BOND / 2, "half burned");
        vm.assertEq(settlement.stateOf(programme).voidFrom, 1, "void");
        vm.assertEq(vault.lockedIn(programme), 0, "unlocked");
    }

    function test_nothing_expires_before_its_deadline() public {
        demand();
        vm.warp(BEGIN + RESPONSE - 1);
        vm.expectRevert(abi.encodeWithSelector(ISettlement.SettlementNotExpired.selector, BEGIN + RESPONSE));
        settlement.expire(programme, 1, node(2));
    }

    function test_an_answered_demand_does_not_expire() public {
        demand();
        settlement.answer(made, node(2), opening(made, node(2)));
        vm.warp(BEGIN + RESPONSE);

        vm.expectRevert(abi.encodeWithSelector(ISettlement.SettlementNotDemanded.selector, id));
        settlement.expire(programme, 1, node(2));
    }

    function test_a_demand_expires_once() public {
        demand();
        vm.warp(BEGIN + RESPONSE);
        settlement.expire(programme, 1, node(2));

        vm.expectRevert(abi.encodeWithSelector(ISettlement.SettlementNotDemanded.selector, id));
        settlement.expire(programme, 1, node(2));
    }

    /// @notice A silence that nobody used in time voids nothing that was settled; the demander's bond goes back.
    function test_an_expiry_after_maturity_slashes_nobody() public {
        demand();
        vm.warp(BEGIN + WINDOW);

        settlement.expire(programme, 1, node(2));

        vm.assertEq(vault.creditOf(address(token), challenger), DEMAND_BOND, "bond back");
        vm.assertEq(vault.bondOf(programme, coordinator), BOND, "bond stays");
        vm.assertTrue(settlement.isSettled(programme, 1), "settled");
    }

    function test_a_demand_in_a_void_round_gives_its_bond_back() public {
        demand();
        ISettlement.Commit memory false_ = nextCommit(2, 80, keccak256("root"));
        false_.sum = "false";
        commit(false_);
        give(stranger, DEMAND_BOND);
        vm.prank(stranger);
        settlement.demand(false_, node(0), ARITHMETIC);
        challenge(false_, "proof");
        vm.warp(BEGIN + RESPONSE);

        settlement.expire(programme, 2, node(0));

        vm.assertEq(vault.creditOf(address(token), stranger), DEMAND_BOND, "back");
        vm.assertEq(settlement.stateOf(programme).voidFrom, 2, "as it was");
    }

    function test_a_node_is_demanded_once() public {
        demand();
        give(stranger, DEMAND_BOND);
        vm.expectRevert(abi.encodeWithSelector(ISettlement.SettlementAlreadyDemanded.selector, id));
        vm.prank(stranger);
        settlement.demand(made, node(2), ARITHMETIC);
    }

    function test_a_node_that_is_not_there_cannot_be_demanded() public {
        vm.expectRevert(abi.encodeWithSelector(ISettlement.SettlementUnknownNode.selector));
        vm.prank(challenger);
        settlement.demand(made, node(4), ARITHMETIC);
    }

    function test_a_demand_needs_its_bond() public {
        vm.expectPartialRevert(bytes4(keccak256("ERC20InsufficientAllowance(address,uint256,uint256)")));
        vm.prank(guardian);
        settlement.demand(made, node(2), ARITHMETIC);
    }

    /// @notice Answer and challenge must still fit before maturity.
    function test_the_last_moment_to_demand() public {
        uint256 last = BEGIN + WINDOW - 2 * RESPONSE;
        vm.warp(last + 1);
        vm.expectRevert(abi.encodeWithSelector(ISettlement.SettlementDemandTooLate.selector, BEGIN + WINDOW));
        demand();
        vm.warp(last);

        demand();

        vm.assertEq(settlement.demandAt(id).deadline, last + RESPONSE, "leaves a response for the challenge");
    }

    function test_a_demand_shows_what_was_committed() public {
        bytes32 committed = hashOf(made);
        made.slots = 5;
        vm.expectRevert(
            abi.encodeWithSelector(ISettlement.SettlementWrongCommit.selector, committed, hashOf(made))
        );
        demand();
    }

    function test_a_void_round_is_not_demanded_from() public {
        ISettlement.Commit memory false_ = nextCommit(2, 80, keccak256("root"));
        false_.sum = "false";
        commit(false_);
        challenge(false_, "proof");

        vm.expectRevert(abi.encodeWithSelector(ISettlement.SettlementVoid.selector, 2));
        vm.prank(challenger);
        settlement.demand(false_, node(0), ARITHMETIC);
    }

    function test_a_demand_under_another_arithmetic_is_refused() public {
        vm.expectRevert(abi.encodeWithSelector(ISettlement.SettlementUnknownNode.selector));
        vm.prank(challenger);
        settlement.demand(made, node(2), "another arithmetic");
    }
}

/// @notice What cannot be shown in public is judged by a quorum.
contract VerdictTest is Fixture {
    bytes32 private constant EVIDENCE = keccak256("report");

    function setUp() public override {
        super.setUp();
        settle(1, 10);
        give(seat, 500);
        bond(seat, 500);
    }

    function test_a_quorum_slashes_whom_it_names_and_pays_nobody() public {
        bytes32 digest = verdictDigest(1, seat, EVIDENCE);
        vm.assertEq(digest, settlement.verdictOf(programme, 1, seat, EVIDENCE), "as EIP-712 says");
        vm.assertEq(domain(), settlement.domainSeparator(), "under our domain");

        settlement.slashByVerdict(programme, 1, seat, EVIDENCE, signatures(2, digest));

        vm.assertEq(vault.creditOf(address(token), vault.BURNED()), 500, "all burned");
        vm.assertEq(vault.bondOf(programme, seat), 0, "the seat's bond is gone");
        vm.assertEq(vault.bondOf(programme, coordinator), BOND, "the coordinator's is not");
        vm.assertEq(settlement.stateOf(programme).voidFrom, 1, "void");
    }

    function test_too_few_signatures_are_no_verdict() public {
        bytes32 digest = verdictDigest(1, seat, EVIDENCE);
        refused(signatures(1, digest));
        refused(new bytes[](0));
    }

    function test_one_judge_does_not_sign_twice() public {
        bytes[] memory signed = signatures(2, verdictDigest(1, seat, EVIDENCE));
        signed[1] = signed[0];
        refused(signed);
    }

    function test_signatures_stand_in_rising_order() public {
        bytes[] memory signed = signatures(2, verdictDigest(1, seat, EVIDENCE));
        (signed[0], signed[1]) = (signed[1], signed[0]);
        refused(signed);
    }

    /// @notice Not even beside a quorum.
    function test_a_stranger_is_no_judge() public {
        bytes32 digest = verdictDigest(1, seat, EVIDENCE);
        bytes[] memory signed = new bytes[](2);
        bytes[] memory good = signatures(1, digest);
        bytes memory foreign = signature(keyOf("stranger"), digest);
        bool first = stranger < sortedJudges()[0];
        (signed[0], signed[1]) = first ? (foreign, good[0]) : (good[0], foreign);
        refused(signed);
    }

    function test_a_verdict_is_for_its_round_accused_and_evidence() public {
        bytes32 digest = verdictDigest(1, seat, EVIDENCE);
        bytes[] memory signed = signatures(2, digest);
        settle(2, 20);
        vm.expectPartialRevert(ISettlement.SettlementNoQuorum.selector);
        settlement.slashByVerdict(programme, 2, seat, EVIDENCE, signed);
        vm.expectPartialRevert(ISettlement.SettlementNoQuorum.selector);
        settlement.slashByVerdict(programme, 1, coordinator, EVIDENCE, signed);
        vm.expectPartialRevert(ISettlement.SettlementNoQuorum.selector);
        settlement.slashByVerdict(programme, 1, seat, keccak256("other"), signed);
    }

    function test_a_verdict_on_another_chain_counts_there_only() public {
        bytes[] memory signed = signatures(2, verdictDigest(1, seat, EVIDENCE));
        vm.chainId(block.chainid + 1);
        refused(signed);
    }

    function test_a_verdict_is_carried_out_once() public {
        bytes[] memory signed = signatures(2, verdictDigest(1, seat, EVIDENCE));
        settlement.slashByVerdict(programme, 1, seat, EVIDENCE, signed);
        give(seat, 500);
        bond(seat, 500);

        (bool done,) = address(settlement).call(
            abi.encodeCall(ISettlement.slashByVerdict, (programme, 1, seat, EVIDENCE, signed))
        );

        vm.assertTrue(!done, "refused");
        vm.assertEq(vault.bondOf(programme, seat), 500, "the new bond stays");
    }

    function test_a_matured_round_is_not_judged() public {
        bytes[] memory signed = signatures(2, verdictDigest(1, seat, EVIDENCE));
        vm.warp(BEGIN + WINDOW);
        vm.expectRevert(abi.encodeWithSelector(ISettlement.SettlementMatured.selector, BEGIN + WINDOW));
        settlement.slashByVerdict(programme, 1, seat, EVIDENCE, signed);
    }

    function test_a_programme_without_judges_judges_nobody() public {
        ISettlement.Terms memory other = defaultTerms();
        other.judges = new address[](0);
        other.judgesQuorum = 0;
        programme = settlement.open(other);
        give(funder, ESCROW);
        give(coordinator, BOND);
        fund(ESCROW);
        bond(coordinator, BOND);
        settle(1, 10);

        refused(new bytes[](0));
    }

    function refused(bytes[] memory signed) private {
        vm.expectPartialRevert(ISettlement.SettlementNoQuorum.selector);
        settlement.slashByVerdict(programme, 1, seat, EVIDENCE, signed);
    }
}
