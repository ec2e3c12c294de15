// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";

import {ISettlement} from "../src/interfaces/ISettlement.sol";
import {IStakeVault} from "../src/interfaces/IStakeVault.sol";
import {ISumVerifier} from "../src/interfaces/ISumVerifier.sol";
import {CallbackToken, FalseToken, FeeToken} from "./HostileTokens.sol";
import {Fixture} from "./base/Fixture.sol";
import {Payouts} from "./base/Payouts.sol";
import {vm} from "./base/Test.sol";

/// @notice A token that keeps a part of each transfer is refused wherever it arrives.
contract FeeTokenTest is Fixture {
    function setUp() public override {
        vm.warp(BEGIN);
        settlement = ISettlement(vm.deployCode("Settlement.sol:Settlement", abi.encode(newVerifier())));
        vault = IStakeVault(settlement.vault());
        token = new FeeToken(SUPPLY);
        programme = settlement.open(defaultTerms());
        give(funder, 2_000);
    }

    function test_it_cannot_be_funded() public {
        vm.expectRevert(abi.encodeWithSelector(ISettlement.SettlementUnexpectedTransfer.selector, 1_000, 990));
        fund(1_000);
    }

    function test_it_cannot_be_bonded() public {
        vm.expectRevert(abi.encodeWithSelector(IStakeVault.StakeVaultUnexpectedTransfer.selector, 1_000, 990));
        bond(funder, 1_000);
    }
}

/// @notice A transfer that answers false moved nothing, and counts as nothing.
contract FalseTokenTest is Fixture {
    function newToken() internal override returns (IERC20) {
        return new FalseToken(SUPPLY);
    }

    function failed() private view returns (bytes memory) {
        return abi.encodeWithSelector(SafeERC20.SafeERC20FailedOperation.selector, address(token));
    }

    function test_a_claim_that_did_not_pay_does_not_count() public {
        (, Due[] memory list) = settle(1, 10);
        later(WINDOW);
        bytes32[] memory proof = Payouts.proof(payoutTree(list), leafOf(list[0]));
        FalseToken(address(token)).breakNow();

        vm.expectRevert(failed());
        settlement.claim(programme, 1, list[0].payee, 10, list[0].salt, list[0].entry, proof);
        vm.assertEq(settlement.claimedBy(programme, list[0].payee), 0, "not paid");
        vm.assertEq(settlement.stateOf(programme).paid, 0, "not counted");
    }

    function test_nothing_else_counts_either() public {
        give(funder, 10);
        (ISettlement.Commit memory made,) = settle(1, 10);
        vm.prank(coordinator);
        vault.thaw(programme, 1);
        vm.warp(BEGIN + LIFETIME);
        FalseToken(address(token)).breakNow();

        vm.startPrank(funder);
        vm.expectRevert(failed());
        settlement.reclaim(programme);
        vm.expectRevert(failed());
        vault.bond(programme, 10);
        vm.stopPrank();
        vm.prank(coordinator);
        vm.expectRevert(failed());
        vault.withdraw(programme);
        vm.assertEq(vault.stakeOf(programme, coordinator).thawing, 1, "still there");
        vm.assertEq(made.round, 1, "committed");
    }

    /// @notice Slashing moves no token, so that none can stop it.
    function test_a_broken_token_does_not_save_a_bond() public {
        (ISettlement.Commit memory made,) = cheat(1, 10);
        FalseToken(address(token)).breakNow();

        challenge(made, "proof");

        vm.assertEq(vault.bondOf(programme, coordinator), 0, "slashed");
        vm.assertEq(settlement.stateOf(programme).voidFrom, 1, "void");
    }
}

/// @notice A token that calls back finds each door shut, and changes nothing.
contract CallbackTokenTest is Fixture {
    bytes4 private constant REENTERED = ReentrancyGuardTransient.ReentrancyGuardReentrantCall.selector;

    function newToken() internal override returns (IERC20) {
        return new CallbackToken(SUPPLY);
    }

    function armed(address target, bytes memory data) private returns (CallbackToken hostile) {
        hostile = CallbackToken(address(token));
        hostile.arm(target, data);
    }

    function refusedOnce(CallbackToken hostile) private view {
        vm.assertTrue(hostile.called(), "called back");
        vm.assertTrue(!hostile.succeeded(), "in vain");
        vm.assertEq(bytes4(hostile.answer()), REENTERED, "by the guard");
    }

    function claimData(Due[] memory list, uint256 index) private view returns (bytes memory) {
        bytes32[] memory proof = Payouts.proof(payoutTree(list), leafOf(list[index]));
        Due memory due = list[index];
        return abi.encodeCall(
            ISettlement.claim, (programme, 1, due.payee, due.cumulative, due.salt, due.entry, proof)
        );
    }

    function test_a_claim_in_a_claim_is_refused_and_the_first_pays_once() public {
        (, Due[] memory list) = settle(1, 10);
        later(WINDOW);
        CallbackToken hostile = armed(address(settlement), claimData(list, 0));

        claim(1, list, 0);

        refusedOnce(hostile);
        vm.assertEq(token.balanceOf(list[0].payee), 10, "once");
    }

    function test_funding_and_reclaiming_in_a_claim_are_refused() public {
        (, Due[] memory list) = settle(1, 10);
        later(WINDOW);
        CallbackToken hostile = armed(address(settlement), abi.encodeCall(ISettlement.fund, (programme, 0)));
        claim(1, list, 0);
        refusedOnce(hostile);
        hostile = armed(address(settlement), abi.encodeCall(ISettlement.reclaim, (programme)));
        claim(1, list, 1);
        refusedOnce(hostile);
    }

    function test_a_claim_cannot_hide_in_the_measurement_of_a_funding() public {
        (, Due[] memory list) = settle(1, 10);
        later(WINDOW);
        give(funder, 10);
        CallbackToken hostile = armed(address(settlement), claimData(list, 0));

        fund(10);

        refusedOnce(hostile);
        vm.assertEq(settlement.stateOf(programme).funded, ESCROW + 10, "as measured");
    }

    function test_a_withdrawal_cannot_hide_in_the_measurement_of_a_bond() public {
        give(coordinator, 10);
        vm.prank(coordinator);
        vault.thaw(programme, 10);
        later(2 * WINDOW);
        CallbackToken hostile = armed(address(vault), abi.encodeCall(IStakeVault.withdraw, (programme)));

        bond(coordinator, 10);

        refusedOnce(hostile);
        vm.assertEq(vault.bondOf(programme, coordinator), BOND, "as measured");
    }

    function test_a_credit_is_not_collected_twice() public {
        (ISettlement.Commit memory made,) = cheat(1, 10);
        challenge(made, "proof");
        bytes memory again = abi.encodeCall(IStakeVault.collect, (address(token), challenger));
        CallbackToken hostile = armed(address(vault), again);

        vault.collect(address(token), challenger);

        refusedOnce(hostile);
        vm.assertEq(token.balanceOf(challenger), BOND / 2, "once");
    }

    function test_a_withdrawal_is_not_made_twice() public {
        vm.prank(coordinator);
        vault.thaw(programme, 10);
        later(2 * WINDOW);
        CallbackToken hostile = armed(address(vault), abi.encodeCall(IStakeVault.withdraw, (programme)));

        vm.prank(coordinator);
        vault.withdraw(programme);

        refusedOnce(hostile);
        vm.assertEq(token.balanceOf(coordinator), 10, "once");
    }

    function test_a_demand_in_a_demand_is_refused() public {
        (ISettlement.Commit memory made,) = settle(1, 10);
        give(challenger, DEMAND_BOND);
        bytes memory again = abi.encodeCall(ISettlement.demand, (made, node(2), ARITHMETIC));
        CallbackToken hostile = armed(address(settlement), again);

        vm.prank(challenger);
        settlement.demand(made, node(1), ARITHMETIC);

        refusedOnce(hostile);
        vm.assertEq(vault.lockedIn(programme), DEMAND_BOND, "one demand");
    }

    /// @notice An answer while the demand's bond still arrives finds nothing locked, or another's that it cannot keep.
    function test_an_answer_in_a_demand_releases_nothing_before_it_is_locked() public {
        (ISettlement.Commit memory made,) = settle(1, 10);
        give(challenger, DEMAND_BOND);
        bytes memory data = abi.encodeCall(ISettlement.answer, (made, node(1), opening(made, node(1))));
        CallbackToken hostile = armed(address(settlement), data);

        vm.prank(challenger);
        settlement.demand(made, node(1), ARITHMETIC);

        vm.assertTrue(hostile.called(), "called back");
        vm.assertTrue(!hostile.succeeded(), "in vain");
        vm.assertEq(vault.lockedIn(programme), DEMAND_BOND, "locked");
        vm.assertEq(vault.creditOf(address(token), coordinator), 0, "nothing credited");
    }
}
