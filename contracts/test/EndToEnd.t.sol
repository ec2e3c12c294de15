// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ISettlement} from "../src/interfaces/ISettlement.sol";
import {ISumVerifier} from "../src/interfaces/ISumVerifier.sol";
import {Fixture} from "./base/Fixture.sol";
import {Rounds} from "./base/Rounds.sol";
import {vm} from "./base/Test.sol";
import {Digests, Trees} from "./base/Trees.sol";

/// @notice Settlement, vault and verifier as they ship together: whoever cheats is slashed, whoever does not is paid.
contract EndToEndTest is Fixture {
    using Rounds for Rounds.World;

    uint256 private constant PRIME = 1_152_921_504_606_830_593;

    function newVerifier() internal override returns (ISumVerifier) {
        return ISumVerifier(vm.deployCode("SumVerifier.sol:SumVerifier"));
    }

    function shape() private pure returns (Rounds.Shape memory) {
        return Rounds.Shape(3, 2, 2, 1, PRIME);
    }

    function nothing() private pure returns (Rounds.Lie memory lie) {
        lie.place = Rounds.NOWHERE;
    }

    function setUp() public override {
        super.setUp();
        ISettlement.Terms memory made = defaultTerms();
        made.arithmetic = sha256(Rounds.arithmeticOf("ckks/1", shape()));
        (made.leavesPerChunk, made.lastChunkLeaves) = (2, 1);
        programme = settlement.open(made);
        give(funder, ESCROW);
        give(coordinator, BOND);
        fund(ESCROW);
        bond(coordinator, BOND);
    }

    function commitTo(Rounds.World memory world) private returns (ISettlement.Commit memory made, Due[] memory list) {
        list = dues([uint256(10), 20, 30, 40], "first");
        made = nextCommit(1, 100, payoutTree(list)[0]);
        world.commitTo(made);
        commit(made);
    }

    function accuse(ISettlement.Commit memory made, ISumVerifier.Kind kind, bytes memory proof) private {
        settlement.seal(sealFor(made, challenger, proof));
        vm.roll(block.number + 1);
        vm.prank(challenger);
        settlement.challenge(made, kind, proof);
    }

    function slashed() private view {
        vm.assertEq(settlement.stateOf(programme).voidFrom, 1, "void");
        vm.assertEq(vault.bondOf(programme, coordinator), 0, "the bond is gone");
        vm.assertEq(vault.creditOf(address(token), challenger), BOND / 2, "half of it to the challenger");
    }

    function test_a_coordinator_that_alters_one_word_of_one_sum_is_slashed() public {
        Rounds.World memory world = Rounds.make(shape(), "seed", Rounds.Lie(1, 1, 0, 200, 1), Rounds.NOWHERE);
        (ISettlement.Commit memory made,) = commitTo(world);

        accuse(made, ISumVerifier.Kind.BadSum, abi.encode(world.badSum(1, 1, 0)));

        slashed();
    }

    function test_a_coordinator_that_alters_one_contribution_is_slashed() public {
        Rounds.World memory world = Rounds.make(shape(), "seed", Rounds.Lie(2, 0, 1, 0, 7), Rounds.NOWHERE);
        (ISettlement.Commit memory made,) = commitTo(world);

        accuse(made, ISumVerifier.Kind.BadLeaf, abi.encode(world.badLeaf(2, 1)));

        slashed();
    }

    /// @notice The same contribution stands at two places of the tree, and is in the cohort once.
    function test_a_coordinator_that_doubles_one_contribution_is_slashed() public {
        Rounds.World memory world = Rounds.make(shape(), "seed", nothing(), Rounds.NOWHERE);
        Rounds.Node[][] memory tree = world.trees[0];
        tree[0][1] = tree[0][0];
        tree[1][0].hash = Digests.sumNode(tree[0][0].hash, tree[0][1].hash, tree[1][0].own);
        tree[2][0].hash = Digests.sumNode(tree[1][0].hash, tree[0][2].hash, tree[2][0].own);
        world.tops[0] = tree[2][0].hash;
        (ISettlement.Commit memory made,) = commitTo(world);

        accuse(made, ISumVerifier.Kind.BadLeaf, abi.encode(world.badLeaf(0, 1)));

        slashed();
    }

    /// @notice Who has a receipt for slot 3 shows the two neighbours between which it should stand.
    function test_a_coordinator_that_drops_one_contribution_is_slashed() public {
        Rounds.World memory world = Rounds.make(shape(), "seed", nothing(), Rounds.NOWHERE);
        (ISettlement.Commit memory made,) = commitTo(world);
        ISumVerifier.Omitted memory proof;
        (proof.slotId, proof.contribution) = (3, keccak256("mine"));
        proof.signature = receipt(3, proof.contribution);
        proof.slots = new ISumVerifier.Slot[](2);
        for (uint256 i = 0; i < 2; i++) {
            proof.slots[i] = ISumVerifier.Slot(Rounds.slotId(i), world.contributions[i]);
            proof.steps = Rounds.both(proof.steps, Trees.path(world.slots, i));
        }

        accuse(made, ISumVerifier.Kind.Omitted, abi.encode(proof));

        slashed();
    }

    function receipt(uint32 id, bytes32 root) private view returns (bytes memory) {
        bytes32 kind = keccak256("Receipt(bytes32 programme,uint64 round,uint32 slotId,bytes32 contribution)");
        bytes32 body = keccak256(abi.encode(kind, programme, uint64(1), id, root));
        return signature(keyOf("coordinator"), keccak256(abi.encodePacked(hex"1901", domain(), body)));
    }

    function test_a_coordinator_that_publishes_another_sum_is_slashed() public {
        Rounds.World memory world = Rounds.make(shape(), "seed", nothing(), 2);
        (ISettlement.Commit memory made,) = commitTo(world);

        accuse(made, ISumVerifier.Kind.BadTop, abi.encode(world.badTop(2)));

        slashed();
    }

    function test_a_coordinator_that_withholds_is_slashed_by_timeout() public {
        Rounds.World memory world = Rounds.make(shape(), "seed", nothing(), Rounds.NOWHERE);
        (ISettlement.Commit memory made,) = commitTo(world);
        give(challenger, DEMAND_BOND);
        ISumVerifier.Node memory asked;
        asked.level = 1;
        vm.prank(challenger);
        settlement.demand(made, asked, world.arithmetic);
        vm.warp(BEGIN + RESPONSE);

        settlement.expire(programme, 1, asked);

        vault.collect(address(token), challenger);
        vm.assertEq(token.balanceOf(challenger), DEMAND_BOND + BOND / 2, "its bond, and half of the coordinator's");
        vm.assertEq(settlement.stateOf(programme).voidFrom, 1, "void");
    }

    /// @notice Every node is asked for and shown, no proof counts, and everyone is paid.
    function test_an_honest_run_settles() public {
        Rounds.World memory world = Rounds.make(shape(), "seed", nothing(), Rounds.NOWHERE);
        (ISettlement.Commit memory made, Due[] memory list) = commitTo(world);
        give(challenger, 4 * DEMAND_BOND);
        for (uint256 tree = 0; tree < 4; tree++) {
            ISumVerifier.Node memory asked;
            asked.tree = ISumVerifier.Tree(tree);
            vm.prank(challenger);
            settlement.demand(made, asked, world.arithmetic);
            settlement.answer(made, asked, abi.encode(world.opening(asked)));
        }
        bytes memory proof = abi.encode(world.badSum(0, 1, 0));
        settlement.seal(sealFor(made, challenger, proof));
        vm.roll(block.number + 1);
        vm.expectRevert(abi.encodeWithSelector(ISettlement.SettlementNotFraud.selector));
        vm.prank(challenger);
        settlement.challenge(made, ISumVerifier.Kind.BadSum, proof);
        later(WINDOW);

        for (uint256 i = 0; i < 4; i++) claim(1, list, i);

        for (uint256 i = 0; i < 4; i++) vm.assertEq(token.balanceOf(payees[i]), list[i].cumulative, "paid");
        vm.assertEq(vault.creditOf(address(token), coordinator), 4 * DEMAND_BOND, "the demands paid for their answers");
    }
}
