// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

import {ISettlement} from "./interfaces/ISettlement.sol";
import {IStakeVault} from "./interfaces/IStakeVault.sol";

/// @title StakeVault
/// @dev Its balance of a token is at least the sum of the stakes, of what is locked, and of the credits in that token.
/// Only `bond`, `lock`, `withdraw` and `collect` touch a token, and the guard keeps them out of each other; the rest is
/// arithmetic, which no token can stop.
contract StakeVault is IStakeVault, ReentrancyGuardTransient {
    using SafeCast for uint256;
    using SafeERC20 for IERC20;

    /// @inheritdoc IStakeVault
    address public constant BURNED = 0x000000000000000000000000000000000000dEaD;

    /// @inheritdoc IStakeVault
    address public immutable settlement;

    mapping(bytes32 programme => mapping(address account => Stake stake)) private _stakes;
    mapping(bytes32 programme => uint256 amount) private _locked;
    mapping(address token => mapping(address account => uint256 amount)) private _credits;

    modifier onlySettlement() {
        if (msg.sender != settlement) revert StakeVaultUnauthorized(msg.sender);
        _;
    }

    /// @dev The settlement makes its own vault, so that neither can be wired to a stranger.
    constructor() {
        settlement = msg.sender;
    }

    /// @inheritdoc IStakeVault
    function bond(bytes32 programme, uint256 amount) external nonReentrant {
        if (amount == 0) revert StakeVaultNothing();
        _take(_tokenOf(programme), msg.sender, amount);

        _stakes[programme][msg.sender].bonded += amount.toUint128();
        emit Bonded(programme, msg.sender, amount);
    }

    /// @inheritdoc IStakeVault
    /// @dev What was committed in the second in which this starts matures one `response` before it can be withdrawn.
    function thaw(bytes32 programme, uint256 amount) external {
        if (amount == 0) revert StakeVaultNothing();
        Stake storage stake = _stakes[programme][msg.sender];
        if (amount > stake.bonded) revert StakeVaultInsufficient(stake.bonded, amount);
        ISettlement.Terms memory terms = _termsOf(programme);

        stake.bonded -= amount.toUint128();
        stake.thawing += amount.toUint128();
        stake.thawsAt = (block.timestamp + terms.window + terms.response).toUint64();
        emit Thawing(programme, msg.sender, amount, stake.thawsAt);
    }

    /// @inheritdoc IStakeVault
    function withdraw(bytes32 programme) external nonReentrant {
        Stake storage stake = _stakes[programme][msg.sender];
        uint256 amount = stake.thawing;
        if (amount == 0) revert StakeVaultNothing();
        // slither-disable-next-line timestamp: seconds are small beside a window
        if (block.timestamp < stake.thawsAt) revert StakeVaultThawing(stake.thawsAt);

        stake.thawing = 0;
        stake.thawsAt = 0;
        emit Withdrawn(programme, msg.sender, amount);
        _tokenOf(programme).safeTransfer(msg.sender, amount);
    }

    /// @inheritdoc IStakeVault
    function collect(address token, address account) external nonReentrant {
        uint256 amount = _credits[token][account];
        if (amount == 0) revert StakeVaultNothing();

        _credits[token][account] = 0;
        emit Collected(token, account, amount);
        IERC20(token).safeTransfer(account, amount);
    }

    /// @inheritdoc IStakeVault
    function slash(bytes32 programme, address account, address to) external onlySettlement {
        Stake storage stake = _stakes[programme][account];
        uint256 amount = uint256(stake.bonded) + stake.thawing;
        // At least half burns, so that whoever proves its own fraud loses half.
        uint256 rewarded = to == address(0) ? 0 : amount / 2;

        delete _stakes[programme][account];
        _credit(programme, to, rewarded);
        _credit(programme, BURNED, amount - rewarded);
        emit Slashed(programme, account, to, rewarded, amount - rewarded);
    }

    /// @inheritdoc IStakeVault
    function lock(bytes32 programme, address from, uint256 amount) external onlySettlement nonReentrant {
        _take(_tokenOf(programme), from, amount);

        _locked[programme] += amount;
        emit Locked(programme, from, amount);
    }

    /// @inheritdoc IStakeVault
    function release(bytes32 programme, address to, uint256 amount) external onlySettlement {
        _locked[programme] -= amount;
        _credit(programme, to, amount);
        emit Released(programme, to, amount);
    }

    /// @inheritdoc IStakeVault
    function bondOf(bytes32 programme, address account) external view returns (uint256) {
        return _stakes[programme][account].bonded;
    }

    /// @inheritdoc IStakeVault
    function stakeOf(bytes32 programme, address account) external view returns (Stake memory) {
        return _stakes[programme][account];
    }

    /// @inheritdoc IStakeVault
    function creditOf(address token, address account) external view returns (uint256) {
        return _credits[token][account];
    }

    /// @inheritdoc IStakeVault
    function lockedIn(bytes32 programme) external view returns (uint256) {
        return _locked[programme];
    }

    /// @dev Measured, so that a token that keeps a fee is refused.
    function _take(IERC20 token, address from, uint256 amount) private {
        uint256 before = token.balanceOf(address(this));
        token.safeTransferFrom(from, address(this), amount);
        uint256 received = token.balanceOf(address(this)) - before;
        if (received != amount) revert StakeVaultUnexpectedTransfer(amount, received);
    }

    function _credit(bytes32 programme, address to, uint256 amount) private {
        if (amount > 0) _credits[address(_tokenOf(programme))][to] += amount;
    }

    function _tokenOf(bytes32 programme) private view returns (IERC20) {
        address token = _termsOf(programme).token;
        if (token == address(0)) revert StakeVaultUnknownProgramme(programme);
        return IERC20(token);
    }

    function _termsOf(bytes32 programme) private view returns (ISettlement.Terms memory) {
        return ISettlement(settlement).termsOf(programme);
    }
}
