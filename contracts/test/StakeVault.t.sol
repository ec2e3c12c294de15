// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ISettlement} from "../src/interfaces/ISettlement.sol";
import {IStakeVault} from "../src/interfaces/IStakeVault.sol";
import {Fixture} from "./base/Fixture.sol";
import {vm} from "./base/Test.sol";

/// @notice A bond leaves only when nothing that it answers for can be challenged any more.
contract StakeVaultTest is Fixture {
    uint256 private constant THAW = WINDOW + RESPONSE;

    function thaw(uint256 amount) private {
        vm.prank(coordinator);
        vault.thaw(programme, amount);
    }

    function withdraw() private {
        vm.prank(coordinator);
        vault.withdraw(programme);
    }

    function test_the_vault_serves_the_settlement_that_made_it() public view {
        vm.assertEq(vault.settlement(), address(settlement), "its settlement");
    }

    function test_a_bond_is_what_arrived() public {
        give(stranger, 5);
        vm.expectEmit(true, true, true, true, address(vault));
        emit IStakeVault.Bonded(programme, stranger, 5);

        bond(stranger, 5);

        vm.assertEq(vault.bondOf(programme, stranger), 5, "bonded");
        vm.assertEq(token.balanceOf(address(vault)), BOND + 5, "held");
    }

    function test_a_bond_of_nothing_is_refused() public {
        vm.expectRevert(abi.encodeWithSelector(IStakeVault.StakeVaultNothing.selector));
        bond(stranger, 0);
    }

    function test_a_bond_needs_a_programme() public {
        bytes32 none = keccak256("none");
        vm.expectRevert(abi.encodeWithSelector(IStakeVault.StakeVaultUnknownProgramme.selector, none));
        vm.prank(coordinator);
        vault.bond(none, 1);
    }

    function test_what_thaws_is_no_bond() public {
        vm.expectEmit(true, true, true, true, address(vault));
        emit IStakeVault.Thawing(programme, coordinator, 400, uint64(BEGIN + THAW));

        thaw(400);

        vm.assertEq(vault.bondOf(programme, coordinator), BOND - 400, "no bond");
        vm.assertEq(vault.stakeOf(programme, coordinator).thawing, 400, "but kept");
    }

    function test_no_more_thaws_than_is_bonded() public {
        vm.expectRevert(abi.encodeWithSelector(IStakeVault.StakeVaultInsufficient.selector, BOND, BOND + 1));
        thaw(BOND + 1);
        vm.expectRevert(abi.encodeWithSelector(IStakeVault.StakeVaultNothing.selector));
        thaw(0);
    }

    /// @notice A round that is committed as the thaw begins matures before the bond can leave.
    function test_a_bond_outlasts_all_that_it_answers_for() public {
        settle(1, 10);
        thaw(BOND);
        vm.assertLe(settlement.roundOf(programme, 1).maturesAt + 1, BEGIN + THAW, "matures first");
        vm.warp(BEGIN + THAW - 1);
        vm.expectRevert(abi.encodeWithSelector(IStakeVault.StakeVaultThawing.selector, BEGIN + THAW));
        withdraw();
        vm.warp(BEGIN + THAW);

        withdraw();

        vm.assertEq(token.balanceOf(coordinator), BOND, "back");
        vm.assertEq(vault.stakeOf(programme, coordinator).thawsAt, 0, "nothing thaws");
    }

    /// @notice Otherwise one small thaw long ago would open the door for a large one now.
    function test_what_thaws_already_begins_again_with_more() public {
        thaw(1);
        vm.warp(BEGIN + THAW - 1);
        thaw(BOND - 1);
        vm.warp(BEGIN + THAW);

        vm.expectRevert(abi.encodeWithSelector(IStakeVault.StakeVaultThawing.selector, BEGIN + 2 * THAW - 1));
        withdraw();
    }

    function test_nothing_is_withdrawn_that_does_not_thaw() public {
        vm.expectRevert(abi.encodeWithSelector(IStakeVault.StakeVaultNothing.selector));
        withdraw();
    }

    function test_a_withdrawal_is_made_once() public {
        thaw(400);
        vm.warp(BEGIN + THAW);
        withdraw();

        vm.expectRevert(abi.encodeWithSelector(IStakeVault.StakeVaultNothing.selector));
        withdraw();
        vm.assertEq(token.balanceOf(coordinator), 400, "once");
    }

    function test_only_the_settlement_slashes_locks_and_releases() public {
        bytes memory refusal = abi.encodeWithSelector(IStakeVault.StakeVaultUnauthorized.selector, stranger);
        vm.startPrank(stranger);
        vm.expectRevert(refusal);
        vault.slash(programme, coordinator, stranger);
        vm.expectRevert(refusal);
        vault.lock(programme, coordinator, 1);
        vm.expectRevert(refusal);
        vault.release(programme, stranger, 1);
        vm.stopPrank();
    }

    /// @notice Of an odd stake the odd unit burns: at least half is always lost.
    function test_half_a_stake_is_rounded_down() public {
        give(coordinator, 1);
        bond(coordinator, 1);
        (ISettlement.Commit memory made,) = cheat(1, 10);

        challenge(made, "proof");

        vm.assertEq(vault.creditOf(address(token), challenger), BOND / 2, "rewarded");
        vm.assertEq(vault.creditOf(address(token), vault.BURNED()), BOND / 2 + 1, "burned");
    }

    function test_a_credit_is_sent_to_its_owner_whoever_asks() public {
        (ISettlement.Commit memory made,) = cheat(1, 10);
        challenge(made, "proof");

        vm.prank(stranger);
        vault.collect(address(token), challenger);
        vault.collect(address(token), vault.BURNED());

        vm.assertEq(token.balanceOf(challenger), BOND / 2, "sent");
        vm.assertEq(token.balanceOf(vault.BURNED()), BOND - BOND / 2, "burned");
        vm.assertEq(token.balanceOf(address(vault)), 0, "nothing left");
        vm.expectRevert(abi.encodeWithSelector(IStakeVault.StakeVaultNothing.selector));
        vault.collect(address(token), challenger);
    }

    /// @notice However it is bonded and thawed, nothing is lost and nothing leaves early.
    function testFuzz_a_stake_is_conserved(uint256 bonded, uint256 thawed, uint256 waited) public {
        bonded = within(bonded, 1, 10 ** 9);
        thawed = within(thawed, 1, bonded);
        waited = within(waited, 0, 2 * THAW);
        give(seat, bonded);
        bond(seat, bonded);
        vm.prank(seat);
        vault.thaw(programme, thawed);
        vm.warp(BEGIN + waited);

        vm.prank(seat);
        (bool left,) = address(vault).call(abi.encodeCall(IStakeVault.withdraw, (programme)));

        vm.assertTrue(left == (waited >= THAW), "leaves from then on");
        IStakeVault.Stake memory stake = vault.stakeOf(programme, seat);
        vm.assertEq(stake.bonded + stake.thawing + token.balanceOf(seat), bonded, "conserved");
    }
}
