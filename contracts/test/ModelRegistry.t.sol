// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IModelRegistry} from "../src/interfaces/IModelRegistry.sol";
import {ISettlement} from "../src/interfaces/ISettlement.sol";
import {Fixture} from "./base/Fixture.sol";
import {vm} from "./base/Test.sol";

/// @notice Versions are the settled rounds, each in its turn, and never taken back.
contract ModelRegistryTest is Fixture {
    function test_settled_rounds_become_versions_in_their_order() public {
        (ISettlement.Commit memory first,) = settle(3, 10);
        (ISettlement.Commit memory second,) = settle(7, 20);
        later(WINDOW);
        vm.expectEmit(true, true, true, true, address(registry));
        emit IModelRegistry.Registered(programme, 1, 3, 0, first.model, first.plan);

        vm.assertEq(registry.register(first), 1, "the first is 1");
        vm.assertEq(registry.register(second), 2, "then 2");

        vm.assertEq(registry.versions(programme), 2, "two");
        IModelRegistry.Version memory newest = registry.versionOf(programme, 2);
        vm.assertEq(newest.round, 7, "round");
        vm.assertEq(newest.commit, hashOf(second), "commit");
        vm.assertEq(newest.parent, first.model, "follows the first model");
        vm.assertEq(newest.model, second.model, "model");
        vm.assertEq(newest.plan, second.plan, "plan");
    }

    function test_a_version_that_is_not_there_is_zero() public {
        (ISettlement.Commit memory made,) = settle(1, 10);
        later(WINDOW);
        registry.register(made);
        vm.assertEq(registry.versionOf(programme, 0).commit, bytes32(0), "no version 0");
        vm.assertEq(registry.versionOf(programme, 1).commit, hashOf(made), "version 1");
        vm.assertEq(registry.versionOf(programme, 2).commit, bytes32(0), "no version 2");
        vm.assertEq(registry.settlement(), address(settlement), "its settlement");
    }

    function test_a_round_registers_from_its_maturity_on() public {
        (ISettlement.Commit memory made,) = settle(1, 10);
        vm.warp(BEGIN + WINDOW - 1);

        vm.expectRevert(abi.encodeWithSelector(IModelRegistry.ModelRegistryNotSettled.selector, 1));
        registry.register(made);
    }

    function test_a_void_round_is_no_version() public {
        (ISettlement.Commit memory made,) = cheat(1, 10);
        challenge(made, "proof");
        later(WINDOW);

        vm.expectRevert(abi.encodeWithSelector(IModelRegistry.ModelRegistryNotSettled.selector, 1));
        registry.register(made);
    }

    function test_another_model_than_the_committed_is_refused() public {
        (ISettlement.Commit memory made,) = settle(1, 10);
        later(WINDOW);
        bytes32 committed = hashOf(made);
        made.model = keccak256("another model");

        vm.expectRevert(
            abi.encodeWithSelector(IModelRegistry.ModelRegistryWrongCommit.selector, committed, hashOf(made))
        );
        registry.register(made);
    }

    function test_no_round_is_left_out_and_none_registers_twice() public {
        (ISettlement.Commit memory first,) = settle(1, 10);
        (ISettlement.Commit memory second,) = settle(2, 20);
        later(WINDOW);
        vm.expectRevert(
            abi.encodeWithSelector(IModelRegistry.ModelRegistryWrongParent.selector, bytes32(0), hashOf(first))
        );
        registry.register(second);
        registry.register(first);

        vm.expectRevert(
            abi.encodeWithSelector(IModelRegistry.ModelRegistryWrongParent.selector, hashOf(first), bytes32(0))
        );
        registry.register(first);
    }
}
